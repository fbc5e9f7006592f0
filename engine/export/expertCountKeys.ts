/**
 * The config key with the number of routed experts that each family's own model code reads. Checkpoints also exist with the
 * aliases of other families (Transformers 5 maps some of them to each other); of those only one may be left, because a
 * runtime that reads the stale one builds experts that have no weights.
 * Read from the config classes of Transformers 4.57 and 5.18, and of published custom code.
 */
const ownKeys: readonly (readonly [key: string, families: readonly string[]])[] = [
  [
    'num_experts',
    [
      'afmoe',
      'bailing_moe',
      'bailing_moe_v2',
      'cohere2_moe',
      'exaone_moe',
      'flex_olmo',
      'hunyuan_v1_moe',
      'hy_v3',
      'jamba',
      'kimi_linear',
      'laguna',
      'lfm2_moe',
      'llada_moe',
      'mellum',
      'minicpm',
      'olmoe',
      'qwen2_moe',
      'qwen3_5_moe',
      'qwen3_moe',
      'qwen3_next',
      'qwen3_omni_moe',
      'qwen3_vl_moe',
      'rnd1',
    ],
  ],
  [
    'num_local_experts',
    [
      'gpt_oss',
      'granitemoe',
      'granitemoehybrid',
      'granitemoeshared',
      'jetmoe',
      'llama4_text',
      'minimax',
      'minimax_m2',
      'minimax_m3_vl',
      'mixtral',
      'phimoe',
    ],
  ],
  [
    'n_routed_experts',
    [
      'axk1',
      'deepseek',
      'deepseek_v2',
      'deepseek_v3',
      'deepseek_v32',
      'dots1',
      'glm4_moe',
      'glm4_moe_lite',
      'glm4v_moe',
      'glm_moe_dsa',
      'mimo_v2_flash',
      'mistral4',
      'nemotron_h',
      'solar_open',
    ],
  ],
  ['moe_num_experts', ['aria_text', 'ernie4_5_moe', 'step3p5']],
  ['num_routed_experts', ['pangu_ultra_moe']],
  ['ffn_config.moe_num_experts', ['dbrx']],
];

/** By family name. */
export const ownExpertCountKey: Readonly<Record<string, string>> = Object.fromEntries(
  ownKeys.flatMap(([key, families]) => families.map((family) => [family, key])),
);
