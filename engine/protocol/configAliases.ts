/**
 * Names under which model configs state the number of routed experts, and of active experts per token. The engine reads the
 * first that is present; the editor finds the lines to annotate by them.
 */
export const expertCountKeys = [
  'num_experts',
  'num_local_experts',
  'n_routed_experts',
  'moe_num_experts',
  'num_routed_experts',
  'moe_num_primary_experts',
  'n_experts',
] as const;

export const activeExpertKeys = [
  'num_experts_per_tok',
  'num_experts_per_token',
  'experts_per_token',
  'moe_topk',
  'moe_k',
  'moe_top_k',
  'top_k_experts',
  'moe_num_active_primary_experts',
] as const;
