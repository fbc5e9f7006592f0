import type { DecoderRecord, ExpertLayout, FamilyRecord, RouterRecord } from '../familyRecord';
import { blockOnly, experts, postAttentionNorm, siluByConfig, standardAttention, standardDecoder } from '../stems';

const router: RouterRecord = {
  weight: 'block_sparse_moe.router.layer.weight',
  score: 'logits',
  gates: { kind: 'softmax-chosen' },
};

const layout: ExpertLayout = {
  layout: 'fused',
  gateUp: 'block_sparse_moe.input_linear.weight',
  down: 'block_sparse_moe.output_linear.weight',
  arrangement: 'concatenated',
  orientation: 'output-major',
};

const decoder: DecoderRecord = {
  ...standardDecoder,
  mixer: { ...standardAttention, scaleKeys: ['attention_multiplier'] },
  embeddingMultiplierKeys: ['embedding_multiplier'],
  residualMultiplier: { keys: ['residual_multiplier'], overRootOfLayers: false },
  logits: { kind: 'divided', keys: ['logits_scaling'] },
};

/** Granite 3.x MoE (IBM): top-k logits, then softmax over the chosen. */
export const graniteMoe: FamilyRecord = {
  name: 'granitemoe',
  title: 'Granite MoE',
  modelTypes: ['granitemoe'],
  architectures: ['GraniteMoeForCausalLM'],
  router,
  defaults: { num_local_experts: 8, num_experts_per_tok: 2, attention_multiplier: 1 },
  experts: [layout],
  inMemory: {
    router: { ...router, weight: 'block_sparse_moe.router.weight' },
    experts: [experts.fused('block_sparse_moe', 'output-major')],
  },
  activation: siluByConfig,
  decoder,
};

/** Granite MoE with a shared network beside the routed experts. */
export const graniteMoeShared: FamilyRecord = {
  ...graniteMoe,
  name: 'granitemoeshared',
  title: 'Granite MoE (shared)',
  modelTypes: ['granitemoeshared'],
  architectures: ['GraniteMoeSharedForCausalLM'],
  shared: {
    network: { layout: 'fused', gateUp: 'shared_mlp.input_linear', down: 'shared_mlp.output_linear' },
    beside: true,
  },
};

/** Granite 4 hybrid: Mamba-2 layers between the attention layers. */
export const graniteMoeHybrid: FamilyRecord = {
  ...graniteMoeShared,
  name: 'granitemoehybrid',
  title: 'Granite 4 hybrid',
  modelTypes: ['granitemoehybrid'],
  architectures: ['GraniteMoeHybridForCausalLM'],
  requires: 'num_local_experts',
  decoder: blockOnly('its Mamba-2 layers are not implemented', postAttentionNorm),
};
