"""Captures what the configuration classes of Hugging Face transformers fill in for keys that config.json leaves out.

    python test/golden/transformers/captureDefaults.py test/golden/transformers/configDefaults.json

Tested with transformers 5.18.0; torch is not needed. Null is a value like any other: it is what the class says.
"""

import json
import sys

import transformers
from transformers import CONFIG_MAPPING

MODEL_TYPES = [
    "afmoe", "aria_text", "axk1", "cohere2_moe", "dbrx", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dots1", "ernie4_5_moe",
    "exaone_moe", "flex_olmo", "glm4_moe", "glm4_moe_lite", "glm4v_moe_text", "gpt_oss", "granitemoe",
    "granitemoeshared", "hunyuan_v1_moe", "hy_v3", "jamba", "jetmoe", "kimi_linear", "laguna", "lfm2_moe", "llama4_text",
    "mellum", "mimo_v2_flash", "minimax", "minimax_m2", "minimax_m3_vl_text", "mistral4", "mixtral", "nemotron_h", "olmoe",
    "phimoe", "qwen2_moe", "qwen3_5_moe_text", "qwen3_moe", "qwen3_next", "qwen3_omni_moe_text", "qwen3_vl_moe_text",
    "solar_open", "step3p5",
]  # fmt: skip

# Keys that change what is computed; which of them a family reads is the family's business.
KEYS = [
    "num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_experts_per_tok", "num_experts_per_token",
    "moe_k", "moe_topk", "norm_topk_prob", "moe_renormalize", "moe_norm_min", "n_group", "num_expert_group", "topk_group",
    "topk_method", "routed_scaling_factor", "router_scaling_factor", "route_scale", "moe_routed_scaling_factor",
    "moe_router_scaling_factor", "moe_router_logit_softcapping", "router_jitter_noise", "use_expert_bias",
    "expert_selection_fn", "shared_expert_combination_strategy", "swiglu_alpha", "swiglu_limit", "hidden_act", "mlp_hidden_act",
    "activation_function", "num_key_value_heads", "head_dim", "q_lora_rank", "kv_lora_rank", "qk_rope_head_dim",
    "qk_nope_head_dim", "v_head_dim", "rms_norm_eps", "norm_eps", "layer_norm_epsilon", "tie_word_embeddings",
    "sliding_window", "use_sliding_window", "max_window_layers", "sliding_window_pattern", "attention_chunk_size",
    "attn_temperature_tuning", "floor_scale", "attn_scale", "no_rope_layer_interval", "use_qk_norm", "clip_qkv",
    "rope_parameters", "rope_interleave", "embedding_multiplier", "attention_multiplier", "residual_multiplier",
    "logits_scaling", "ffn_config", "attn_config",
]  # fmt: skip

# The same of what is nested.
PARTS = {
    "ffn_config": ["moe_num_experts", "moe_top_k", "moe_normalize_expert_weights", "ffn_act_fn"],
    "attn_config": ["kv_n_heads", "clip_qkv", "rope_theta"],
}


def defaults(model_type):
    config = CONFIG_MAPPING[model_type]().to_dict()
    found = {}
    for key in KEYS:
        if key in PARTS and key in config:
            found.update({f"{key}.{part}": config[key].get(part) for part in PARTS[key] if part in config[key]})
        elif key in config:
            found[key] = config[key]
    return found


if __name__ == "__main__":
    content = {"transformers": transformers.__version__, "defaults": {name: defaults(name) for name in MODEL_TYPES}}
    with open(sys.argv[1], "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
