"""Captures logits of the tiny random checkpoints from Hugging Face transformers, in float32 on the processor.

    npx esbuild test/support/tinyCheckpoints/writeAll.ts --bundle --platform=node --format=esm --outfile=/tmp/writeAll.mjs
    node /tmp/writeAll.mjs /tmp/tiny
    python test/golden/transformers/capture.py /tmp/tiny test/golden/transformers

Tested with transformers 5.17.0 and torch 2.13. A few need a detour, each a pure renaming or decoding:
kimi_k2 loads as deepseek_v3; minicpm as granitemoe, whose four multipliers and router say the same; the nested Llama-4
as its text model, other nested ones and DeepSeekMoE as their closest siblings; FP8 matrices are decoded by torch first. MXFP4 is decoded by transformers itself; stacked
experts in the older orientation are transposed.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

POSITIONS = [0, 1, 15, 16, 17, 31, 46, 47]
FLOAT_KEYS = {"moe_normalize_expert_weights", "routed_scaling_factor", "input_jitter_noise", "embedding_multiplier", "factor"}
FP8_BLOCK = 32


def with_floats(config):
    """JavaScript writes 1.0 as 1, which strictly typed configurations refuse."""
    for key, value in config.items():
        if isinstance(value, dict):
            with_floats(value)
        elif key in FLOAT_KEYS and isinstance(value, int):
            config[key] = float(value)
    return config


def minicpm_as_granite(config, tensors):
    layers, count = config["num_hidden_layers"], config["num_experts"]
    config |= {
        "model_type": "granitemoe",
        "architectures": ["GraniteMoeForCausalLM"],
        "num_local_experts": count,
        "embedding_multiplier": config["scale_emb"],
        "residual_multiplier": config["scale_depth"] / layers**0.5,
        "logits_scaling": config["hidden_size"] / config["dim_model_base"],
        "attention_multiplier": (config["hidden_size"] // config["num_attention_heads"]) ** -0.5,
    }
    for layer in range(layers):
        old, new = f"model.layers.{layer}.mlp.", f"model.layers.{layer}.block_sparse_moe."
        take = lambda expert, name: tensors.pop(f"{old}experts.{expert}.{name}.weight")
        tensors[new + "router.layer.weight"] = tensors.pop(old + "gate.weight")
        tensors[new + "input_linear.weight"] = torch.stack(
            [torch.cat([take(expert, "w1"), take(expert, "w3")]) for expert in range(count)]
        )
        tensors[new + "output_linear.weight"] = torch.stack([take(expert, "w2") for expert in range(count)])


def deepseek_as_qwen2(config, tensors):
    """DeepSeekMoE without shared experts is Qwen2-MoE without biases whose shared expert is zero."""
    config |= {
        "model_type": "qwen2_moe",
        "architectures": ["Qwen2MoeForCausalLM"],
        "num_experts": config.pop("n_routed_experts"),
        "mlp_only_layers": list(range(config["first_k_dense_replace"])),
        "qkv_bias": False,
        "shared_expert_intermediate_size": 8,
    }
    hidden = config["hidden_size"]
    for layer in range(config["first_k_dense_replace"], config["num_hidden_layers"]):
        mlp = f"model.layers.{layer}.mlp."
        tensors[mlp + "shared_expert_gate.weight"] = torch.zeros(1, hidden)
        for name, shape in (("gate", (8, hidden)), ("up", (8, hidden)), ("down", (hidden, 8))):
            tensors[f"{mlp}shared_expert.{name}_proj.weight"] = torch.zeros(shape)


def text_model(config, tensors):
    """Text has equal positions on all axes: the text models are their text-only siblings."""
    text = config.get("text_config") or config["thinker_config"]["text_config"]
    text = dict(text, tie_word_embeddings=config.get("tie_word_embeddings", False))
    text.pop("rope_scaling")
    if config["model_type"] == "glm4v_moe":
        text |= {"model_type": "glm4_moe", "use_qk_norm": False}
    else:
        text["model_type"] = "qwen3_moe"
        text["norm_topk_prob"] = text.get("norm_topk_prob", True)
    prefix = "thinker." if config["model_type"] == "qwen3_omni_moe" else "language_model."
    return text, {name.replace(prefix, "", 1): tensor for name, tensor in tensors.items()}


def decode_fp8(config, tensors):
    config.pop("quantization_config")
    for name in [name for name in tensors if name.endswith("_scale_inv")]:
        scale = tensors.pop(name).repeat_interleave(FP8_BLOCK, 0).repeat_interleave(FP8_BLOCK, 1)
        weight = tensors[name.removesuffix("_scale_inv")].float()
        tensors[name.removesuffix("_scale_inv")] = weight * scale[: weight.shape[0], : weight.shape[1]]


def load(folder, scratch):
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    options = {}
    if config["model_type"] == "kimi_k2":
        config["model_type"] = "deepseek_v3"
    if config["model_type"] == "minicpm":
        minicpm_as_granite(config, tensors)
    if config["model_type"] == "deepseek":
        deepseek_as_qwen2(config, tensors)
    if config["model_type"] in ("glm4v_moe", "qwen3_vl_moe", "qwen3_omni_moe"):
        config, tensors = text_model(config, tensors)
    if config["model_type"] == "llama4":
        config = config["text_config"]
        tensors = {name.removeprefix("language_model."): tensor for name, tensor in tensors.items()}
    for name in [name for name in tensors if name.endswith(".mlp.experts.down_proj")]:
        if config["model_type"] == "qwen3_moe" and tensors[name].shape[1] != config["hidden_size"]:
            for part in (name, name.replace("down_proj", "gate_up_proj")):
                tensors[part] = tensors[part].transpose(1, 2).contiguous()
    if config["model_type"] == "dbrx" and config["attn_config"]["clip_qkv"] is None:
        config["attn_config"]["clip_qkv"] = 1e9  # transformers clamps without limits and fails
    quantization = config.get("quantization_config", {}).get("quant_method")
    if quantization == "fp8":
        decode_fp8(config, tensors)
    if quantization == "mxfp4":
        options["quantization_config"] = transformers.Mxfp4Config(dequantize=True)
    (scratch / "config.json").write_text(json.dumps(with_floats(config)))
    save_file(tensors, scratch / "model.safetensors", metadata={"format": "pt"})
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        scratch, dtype=torch.float32, attn_implementation="eager", output_loading_info=True, **options
    )
    missing = [name for name in report["missing_keys"] if not name.startswith("lm_head")]
    assert not missing and not report["unexpected_keys"] and not report["mismatched_keys"], report
    return model.float().eval()


def main(checkpoints, target):
    tokens = torch.tensor(json.loads((checkpoints / "tokens.json").read_text()))
    logits, hashes = {}, {}
    for folder in sorted(path for path in checkpoints.iterdir() if path.is_dir()):
        with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
            model = load(folder, Path(scratch))
            logits[folder.name] = model(tokens).logits[:, POSITIONS].float().contiguous()
        hashes[folder.name] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    save_file(logits, target / "logits.safetensors")
    description = {"transformers": transformers.__version__, "positions": POSITIONS, "sha256": hashes}
    (target / "checkpoints.json").write_text(json.dumps(description, indent=2) + "\n")


main(Path(sys.argv[1]), Path(sys.argv[2]))
