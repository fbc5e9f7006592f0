import type { FamilyRecord, RouterRecord } from '../familyRecord';
import { blockOnly, experts, postAttentionNorm, siluByConfig } from '../stems';

const router: RouterRecord = {
  weight: 'block_sparse_moe.gate.weight',
  score: 'softmax',
  gates: { kind: 'sum', epsilon: 0 },
};

/** MiniMax-01 and M1 (arXiv 2501.08313): Mixtral's blocks between lightning attention layers. */
export const minimax01: FamilyRecord = {
  name: 'minimax',
  title: 'MiniMax-01 / M1',
  modelTypes: ['minimax', 'minimax_text_01', 'minimax_m1'],
  architectures: ['MiniMaxForCausalLM', 'MiniMaxText01ForCausalLM', 'MiniMaxM1ForCausalLM'],
  refuses: [{ key: 'shared_intermediate_size', reason: 'its shared expert is not described' }],
  defaults: { num_local_experts: 8, num_experts_per_tok: 2, rms_norm_eps: 1e-5 },
  router,
  experts: [experts.numbered('block_sparse_moe')],
  inMemory: { router: { ...router, weight: 'mlp.gate.weight' }, experts: [experts.fused('mlp', 'output-major')] },
  activation: siluByConfig,
  decoder: blockOnly('its lightning attention layers are not implemented', postAttentionNorm),
};
