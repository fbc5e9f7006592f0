/**
 * Names under which model configurations keep the facts that the editor shows. Only a cheap pre-check and the place of
 * the text decorations depend on this table; what a checkpoint really is, the engine decides.
 */
export const configKeyAliases = {
  experts: [
    'num_experts',
    'num_local_experts',
    'n_routed_experts',
    'moe_num_experts',
    'num_routed_experts',
    'moe_num_primary_experts',
    'n_experts',
  ],
  activeExperts: [
    'num_experts_per_tok',
    'num_experts_per_token',
    'moe_topk',
    'moe_k',
    'moe_top_k',
    'top_k_experts',
    'moe_num_active_primary_experts',
  ],
  dtype: ['dtype', 'torch_dtype'],
  modelType: ['model_type'],
} as const;

export type ConfigFactName = keyof typeof configKeyAliases;

/** Objects inside `config.json` that can hold the language model's keys, in the order in which they are searched. */
export const configSections: readonly (readonly string[])[] = [
  [],
  ['text_config'],
  ['thinker_config', 'text_config'],
  ['language_config'],
  ['llm_config'],
  ['ffn_config'],
];
