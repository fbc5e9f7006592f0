import type {
  AttentionMask,
  DecoderLayerSpec,
  GroupedQueryAttentionSpec,
  LatentAttentionSpec,
  ModelSpec,
  MoeBlockSpec,
  NormSpec,
} from '../../families/specification';
import { moeBlocks } from '../../families/moeBlocks';
import { specLinears } from '../../families/specLinears';
import { TunerError } from '../../protocol/errors';
import type { GgufArchitecture } from './architectures';
import { latentYarn, rotaryRefusal } from './rotaryMetadata';
import { computedForm, sharedNetwork } from './routerForm';

/** Numbers that the code of gpt-oss has built in. */
const gptOssActivation = { alpha: 1.702, limit: 7 };

/** Relative difference below which a number counts as the one that llama.cpp computes itself. */
const tolerance = 1e-5;

/**
 * Refuses a model that llama.cpp would load and compute differently.
 * @throws TunerError `unsupportedFeature` with the first difference
 */
export function assertExpressible(model: ModelSpec, architecture: GgufArchitecture, title: string): void {
  const reason =
    wholeModel(model, architecture) ??
    model.layers.map((layer) => inLayer(layer, architecture, model)).find((found) => found !== undefined) ??
    sameEverywhere(model);
  if (reason !== undefined) {
    throw new TunerError(
      'unsupportedFeature',
      `The code of llama.cpp for ${title} (${architecture.name}) computes something else: ${reason}.`,
      { place: '--target', wayOut: 'Choose another target, for example huggingface or onnx.' },
    );
  }
}

function wholeModel(model: ModelSpec, { multipliers }: GgufArchitecture): string | undefined {
  const scaled =
    model.embeddingMultiplier !== 1 ||
    model.logitMultiplier !== 1 ||
    model.layers.some(({ residualMultiplier }) => residualMultiplier !== 1);
  return firstOf([
    [scaled && multipliers !== true, 'embeddings, residuals or logits have a multiplier'],
    [model.logitSoftcap !== undefined, 'logits are capped'],
    [model.head.bias !== undefined, 'the head has a bias'],
    [model.finalNorm.kind !== 'rms', 'the last norm is a layer norm'],
  ]);
}

function inLayer(layer: DecoderLayerSpec, architecture: GgufArchitecture, model: ModelSpec): string | undefined {
  const { mixer, feedForward, index } = layer;
  const norms = [layer.mixerNorm, layer.feedForwardNorm];
  const reason =
    firstOf([
      [norms.some(({ kind }) => kind !== 'rms'), 'norms are layer norms'],
      [norms.some(({ epsilon }) => epsilon !== model.finalNorm.epsilon), 'norms have different epsilons'],
      [layer.normPlacement !== 'pre', 'norms come after the branches'],
      [mixer.kind !== architecture.attention, `the token mixer is ${mixer.kind}`],
      [feedForward.kind === 'dense' && architecture.leadingDense !== true, 'a layer is dense'],
    ]) ??
    (mixer.kind === 'grouped-query'
      ? attention(mixer, architecture, index)
      : mixer.kind === 'latent'
        ? latent(mixer, model.layers.length)
        : undefined) ??
    (feedForward.kind === 'moe'
      ? experts(feedForward.block, architecture)
      : firstOf([
          [feedForward.activation.kind !== 'silu-gated', 'dense layers have another activation than SiLU'],
          [specLinears(feedForward.network).some(({ bias }) => bias !== undefined), 'dense layers have biases'],
        ]));
  return reason === undefined ? undefined : `in decoder layer ${index} ${reason}`;
}

function attention(
  mixer: GroupedQueryAttentionSpec,
  architecture: GgufArchitecture,
  index: number,
): string | undefined {
  const { queryKeyNorm } = architecture;
  const norms = [mixer.queryNorm, mixer.keyNorm];
  const normed = norms.some((norm) => norm !== undefined);
  const otherNorm =
    queryKeyNorm !== undefined &&
    (mixer.queryKeyNormScope !== queryKeyNorm.scope || mixer.queryKeyNormOrder !== queryKeyNorm.order);
  return (
    firstOf([
      [normed && queryKeyNorm === undefined, 'queries and keys are normalised'],
      [normed && norms.some((norm) => !hasWeight(norm)), 'only one of queries and keys is normalised with weights'],
      [normed && otherNorm, 'queries and keys are normalised in another way'],
      [!normed && queryKeyNorm !== undefined && queryKeyNorm.optional !== true, 'queries and keys are not normalised'],
      [architecture.equalHeads === true && mixer.heads !== mixer.keyValueHeads, 'queries share keys'],
      [mixer.clip !== undefined, 'queries, keys and values are clipped'],
      [mixer.rotary === undefined, 'there is no rotary embedding'],
      [mixer.temperature !== undefined || mixer.softcap !== undefined, 'attention logits are scaled or capped'],
      [
        architecture.multipliers !== true && !near(mixer.scale * Math.sqrt(mixer.headSize), 1),
        `attention logits are multiplied by ${mixer.scale}`,
      ],
      [(mixer.sinks !== undefined) !== (architecture.gptOss === true), 'attention has sinks, or has none'],
      [mixer.output.bias !== undefined && architecture.outputBias !== true, 'the attention output has a bias'],
      [architecture.gptOss !== true && mixer.mask.kind !== 'causal', 'attention sees a window only'],
      [architecture.gptOss === true && !alternates(mixer.mask, index), 'windows do not alternate with full attention'],
      [
        architecture.gptOss === true && mixer.rotary?.dimensions !== mixer.headSize,
        'rotary embedding turns a part of a head',
      ],
    ]) ?? (mixer.rotary === undefined ? undefined : rotaryRefusal(mixer.rotary, architecture))
  );
}

/** gpt-oss: even layers see a window. */
function alternates(mask: AttentionMask, index: number): boolean {
  return mask.kind === (index % 2 === 0 ? 'sliding' : 'causal');
}

/** Layer counts that the loader takes for a model without a low-rank query. */
const liteLayers = [26, 27];

function latent(mixer: LatentAttentionSpec, layers: number): string | undefined {
  const yarn = latentYarn(mixer);
  const query = 'down' in mixer.query ? [mixer.query.down, mixer.query.up] : [mixer.query];
  const linears = [...query, mixer.keyValueDown, mixer.keyValueUp, mixer.output];
  return firstOf([
    [mixer.mask.kind !== 'causal', 'attention sees a window only'],
    [linears.some(({ bias }) => bias !== undefined), 'attention has biases'],
    [mixer.keyValueNorm.kind !== 'rms', 'latent vectors are normalised in another way'],
    ['down' in mixer.query && liteLayers.includes(layers), `${layers} layers mean that queries are one projection`],
    [!['default', 'linear', 'yarn'].includes(mixer.rotary.scaling.kind), 'rotary frequencies have another scaling'],
    [yarn !== undefined && 'reason' in yarn, yarn !== undefined && 'reason' in yarn ? yarn.reason : ''],
  ]);
}

function experts(block: MoeBlockSpec, architecture: GgufArchitecture): string | undefined {
  const { router, activation } = block;
  const shared = sharedNetwork(block);
  const { gptOss = false } = architecture;
  const biased = block.experts.some((expert) => specLinears(expert).some(({ bias }) => bias !== undefined));
  return firstOf([
    [computedForm(architecture, router) === undefined, 'gates are made in another way'],
    [router.sparseMixer !== undefined, 'the router is a sparse mixer'],
    [router.softcap !== undefined, 'router logits are capped'],
    [router.gateReference !== undefined, 'gates are divided by the sum of more experts than are active'],
    [router.apply !== 'output', 'gates multiply the inputs of experts'],
    [router.scale !== 1 && architecture.gateScale !== true, `gates are multiplied by ${router.scale}`],
    [(router.bias !== undefined) !== gptOss, 'the router has a bias, or has none'],
    [router.selectionBias !== undefined && architecture.selectionBias === undefined, 'experts are chosen with a bias'],
    [
      router.selectionBias === undefined && architecture.selectionBias === 'required',
      'experts are chosen without a bias',
    ],
    [
      router.groups !== undefined && router.groups.kept < router.groups.count && router.groups.score !== 'top2-sum',
      'groups of experts are chosen by the best of each',
    ],
    [biased !== gptOss, 'experts have biases, or have none'],
    [
      gptOss
        ? activation.kind !== 'clamped-swiglu' ||
          activation.alpha !== gptOssActivation.alpha ||
          activation.limit !== gptOssActivation.limit
        : activation.kind !== 'silu-gated',
      'experts have another activation',
    ],
    [block.experts.some(({ layout }) => layout === 'ungated'), 'experts have no gate projection'],
    [shared !== undefined && architecture.shared === undefined, 'there is a shared expert'],
    [shared === undefined && architecture.shared?.includes('none') === false, 'there is no shared expert'],
    [
      shared !== undefined && (shared.gate !== undefined) !== (architecture.shared === 'sigmoid-gated'),
      'the shared expert has a gate, or has none',
    ],
    [
      shared !== undefined && (shared.activation.kind !== 'silu-gated' || (shared.scale ?? 1) !== 1),
      'the shared expert is scaled or has another activation',
    ],
    [
      shared !== undefined && specLinears(shared.network).some(({ bias }) => bias !== undefined),
      'the shared expert has biases',
    ],
    [block.outputBias !== undefined, 'the block adds a bias'],
  ]);
}

/** Facts that a file has one number for. */
function sameEverywhere(model: ModelSpec): string | undefined {
  const dense = model.layers.map(({ feedForward }) => feedForward.kind === 'dense');
  const blocks = moeBlocks(model);
  const differ = (values: readonly unknown[]) => new Set(values.map((value) => JSON.stringify(value))).size > 1;
  const attentions = model.layers.map(({ mixer }) =>
    mixer.kind === 'short-convolution'
      ? []
      : [mixer.heads, mixer.kind === 'grouped-query' ? [mixer.keyValueHeads, mixer.headSize] : [], mixer.rotary],
  );
  return firstOf([
    [
      dense.lastIndexOf(true) >= dense.indexOf(false) && dense.includes(false),
      'dense layers follow layers with experts',
    ],
    [differ(attentions), 'layers differ in their attention'],
    [differ(blocks.map(({ router }) => [router.scale, router.groups])), 'layers differ in their routers'],
    [differ(blocks.map(({ intermediateSize }) => intermediateSize)), 'layers differ in the width of experts'],
    [differ(blocks.map(({ activeExperts }) => activeExperts)), 'layers differ in active experts'],
    [differ(blocks.map((block) => block.experts.length)), 'layers differ in their number of experts'],
  ]);
}

function hasWeight(norm: NormSpec | undefined): boolean {
  return norm?.kind === 'rms' && norm.weight !== undefined;
}

function near(value: number, expected: number): boolean {
  return Math.abs(value - expected) <= tolerance * Math.abs(expected);
}

function firstOf(reasons: readonly (readonly [boolean, string])[]): string | undefined {
  return reasons.find(([applies]) => applies)?.[1];
}
