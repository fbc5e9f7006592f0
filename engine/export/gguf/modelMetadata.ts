import { moeBlocks } from '../../families/moeBlocks';
import type { ModelSpec, MoeBlockSpec } from '../../families/specification';
import { TunerError } from '../../protocol/errors';
import type { GgufArchitecture } from './architectures';
import type { GgmlType } from './ggmlTypes';
import { alignment, type GgufValue } from './ggufHeader';
import { latentYarn, rotaryMetadata } from './rotaryMetadata';
import { computedForm, gatingNumbers, sharedNetwork } from './routerForm';

/** Version of the block formats (GGML_QNT_VERSION). */
const quantizationVersion = 2;

/** Numbers of `general.file_type` (enum llama_ftype) by the type that most weights have. */
const fileTypes: Readonly<Partial<Record<GgmlType, number>>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q2_K: 10,
  Q3_K: 11,
  Q4_K: 14,
  Q5_K: 16,
  Q6_K: 18,
  BF16: 32,
  MXFP4: 38,
};

/** Facts that are not in the specification. */
export interface GeneralFacts {
  readonly name: string;
  /** Longest text the model was made for. */
  readonly contextLength: number;
  /** Type of most weights. */
  readonly mainType: GgmlType;
}

const uint32 = (value: number): GgufValue => ({ type: 'uint32', value });
const float32 = (value: number): GgufValue => ({ type: 'float32', value });
const text = (value: string): GgufValue => ({ type: 'string', value });

/**
 * The metadata of a model without its tokenizer: general keys, then those of the architecture (gguf-py/gguf/constants.py of
 * llama.cpp).
 */
export function modelMetadata(
  model: ModelSpec,
  architecture: GgufArchitecture,
  facts: GeneralFacts,
): [string, GgufValue][] {
  const keys: [string, GgufValue][] = [
    ['block_count', uint32(model.layers.length)],
    ['context_length', uint32(facts.contextLength)],
    ['embedding_length', uint32(model.hiddenSize)],
    ['vocab_size', uint32(model.vocabularySize)],
    ['attention.layer_norm_rms_epsilon', float32(model.finalNorm.epsilon)],
    ...attentionKeys(model),
    ...feedForwardKeys(model, architecture),
    ...(architecture.multipliers === true ? multiplierKeys(model) : []),
  ];
  return [
    ['general.architecture', text(architecture.name)],
    ['general.type', text('model')],
    ['general.name', text(facts.name)],
    ['general.alignment', uint32(alignment)],
    ['general.quantization_version', uint32(quantizationVersion)],
    ['general.file_type', uint32(fileTypes[facts.mainType] ?? 0)],
    ...keys.map(([key, value]): [string, GgufValue] => [`${architecture.name}.${key}`, value]),
  ];
}

function attentionKeys(model: ModelSpec): [string, GgufValue][] {
  const { mixer } = model.layers[0]!;
  if (mixer.kind === 'short-convolution') {
    throw new TunerError('internal', 'A short convolution has no attention metadata.');
  }
  if (mixer.kind === 'grouped-query') {
    const window = model.layers
      .map((layer) => (layer.mixer.kind === 'grouped-query' ? layer.mixer.mask : undefined))
      .find((mask) => mask?.kind === 'sliding');
    return [
      ['attention.head_count', uint32(mixer.heads)],
      ['attention.head_count_kv', uint32(mixer.keyValueHeads)],
      ['attention.key_length', uint32(mixer.headSize)],
      ['attention.value_length', uint32(mixer.headSize)],
      ...(window?.kind === 'sliding'
        ? [['attention.sliding_window', uint32(window.window)] as [string, GgufValue]]
        : []),
      ...rotaryMetadata(mixer.rotary!),
    ];
  }
  // Latent attention runs as attention of all heads over one key: the latent vector and the turned part.
  const yarn = latentYarn(mixer);
  return [
    ['attention.head_count', uint32(mixer.heads)],
    ['attention.head_count_kv', uint32(1)],
    ['attention.q_lora_rank', uint32('down' in mixer.query ? mixer.query.down.outputSize : 0)],
    ['attention.kv_lora_rank', uint32(mixer.latentSize)],
    ['attention.key_length', uint32(mixer.latentSize + mixer.ropeSize)],
    ['attention.value_length', uint32(mixer.latentSize)],
    ['attention.key_length_mla', uint32(mixer.noRopeSize + mixer.ropeSize)],
    ['attention.value_length_mla', uint32(mixer.valueSize)],
    ...rotaryMetadata(mixer.rotary),
    ...(yarn !== undefined && 'logMultiplier' in yarn
      ? [['rope.scaling.yarn_log_multiplier', float32(yarn.logMultiplier)] as [string, GgufValue]]
      : []),
  ];
}

function feedForwardKeys(model: ModelSpec, architecture: GgufArchitecture): [string, GgufValue][] {
  const blocks = moeBlocks(model);
  const dense = model.layers.flatMap(({ feedForward }) => (feedForward.kind === 'dense' ? [feedForward.network] : []));
  const block = blocks[0]!;
  const shared = sharedNetwork(block);
  return [
    ['feed_forward_length', uint32(dense[0]?.down.inputSize ?? block.intermediateSize)],
    ['expert_feed_forward_length', uint32(block.intermediateSize)],
    ['expert_count', uint32(block.experts.length)],
    ['expert_used_count', uint32(block.activeExperts)],
    ...(architecture.leadingDense === true
      ? [['leading_dense_block_count', uint32(dense.length)] as [string, GgufValue]]
      : []),
    ['expert_shared_count', uint32(sharedCount(block))],
    ...(shared === undefined
      ? []
      : [['expert_shared_feed_forward_length', uint32(shared.network.down.inputSize)] as [string, GgufValue]]),
    ...gateKeys(block, architecture),
  ];
}

/** Loaders multiply the number by the width of a routed expert. */
function sharedCount(block: MoeBlockSpec): number {
  const shared = sharedNetwork(block);
  return shared === undefined ? 0 : Math.round(shared.network.down.inputSize / block.intermediateSize);
}

function gateKeys({ router }: MoeBlockSpec, architecture: GgufArchitecture): [string, GgufValue][] {
  const form = computedForm(architecture, router)!;
  const { groups } = router;
  const chooses = architecture.gates.length > 1;
  const score = form.startsWith('sigmoid') ? 'sigmoid' : 'softmax';
  return [
    ...(chooses
      ? ([
          ['expert_gating_func', uint32(gatingNumbers[score])],
          ['expert_weights_norm', { type: 'bool', value: form.endsWith('-sum') }],
        ] as [string, GgufValue][])
      : []),
    ...(architecture.gateScale === true
      ? [['expert_weights_scale', float32(router.scale)] as [string, GgufValue]]
      : []),
    ...(groups !== undefined && groups.kept < groups.count
      ? ([
          ['expert_group_count', uint32(groups.count)],
          ['expert_group_used_count', uint32(groups.kept)],
        ] as [string, GgufValue][])
      : []),
  ];
}

/** Granite's own factors; logits are divided by theirs. */
function multiplierKeys(model: ModelSpec): [string, GgufValue][] {
  const { mixer, residualMultiplier } = model.layers[0]!;
  return [
    ['embedding_scale', float32(model.embeddingMultiplier)],
    ['residual_scale', float32(residualMultiplier)],
    ['logit_scale', float32(1 / model.logitMultiplier)],
    ...(mixer.kind === 'grouped-query' ? [['attention.scale', float32(mixer.scale)] as [string, GgufValue]] : []),
  ];
}
