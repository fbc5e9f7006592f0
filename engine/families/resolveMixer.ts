import { sliceTensor } from '../checkpoint/readTensor';
import { dtypeBytes } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import type { DecoderRecord, GroupedQueryRecord, LatentRecord } from './familyRecord';
import type { RecognisedModel } from './recognise';
import { layerTypeOf, resolveMask } from './resolveMask';
import { latentScaleCorrection, resolveRotary } from './resolveRotary';
import { flag, numberOr } from './resolveRouter';
import type {
  GroupedQueryAttentionSpec,
  LatentAttentionSpec,
  LinearSpec,
  NormSpec,
  TokenMixerSpec,
} from './specification';
import type { WeightLookup } from './weightLookup';

/** Norms inside MLA keep this epsilon whatever the config says (DeepSeek reference code). */
const latentNormEpsilon = 1e-6;

export interface MixerFacts {
  readonly layer: number;
  readonly stem: string;
  readonly hiddenSize: number;
  readonly epsilon: number;
}

/** The token mixer of one decoder layer. @throws TunerError like the functions it calls */
export function resolveMixer(
  model: RecognisedModel,
  weights: WeightLookup,
  decoder: DecoderRecord,
  facts: MixerFacts,
): TokenMixerSpec {
  const { convolution } = decoder;
  if (convolution !== undefined && layerTypeOf(model.config, facts.layer) === convolution.layerType) {
    const kernel = weights.tensor(`${facts.stem}${convolution.kernel}.weight`);
    return {
      kind: 'short-convolution',
      input: weights.linear(facts.stem + convolution.input, facts.hiddenSize, 3 * facts.hiddenSize),
      output: weights.linear(facts.stem + convolution.output, facts.hiddenSize, facts.hiddenSize),
      kernel,
      kernelBias: weights.find(`${facts.stem}${convolution.kernel}.bias`),
      width: kernel.shape.at(-1)!,
    };
  }
  return decoder.mixer.kind === 'latent'
    ? resolveLatent(model, weights, decoder.mixer, facts)
    : resolveGroupedQuery(model, weights, decoder.mixer, facts);
}

function resolveGroupedQuery(
  model: RecognisedModel,
  weights: WeightLookup,
  record: GroupedQueryRecord,
  facts: MixerFacts,
): GroupedQueryAttentionSpec {
  const { config, keys } = model;
  const configFile = model.checkpoint.configFile;
  const heads = config.integer(keys.heads, { minimum: 1 }).value;
  const keyValueHeads = config.optionalInteger(keys.keyValueHeads, { minimum: 1 })?.value ?? heads;
  const headSize = config.optionalInteger(['head_dim'], { minimum: 1 })?.value ?? facts.hiddenSize / heads;
  checkHeads(model, { heads, keyValueHeads, headSize });
  const [queryWidth, keyWidth] = [heads * headSize, keyValueHeads * headSize];
  const { query, key, value } =
    record.fusedQueryKeyValue === undefined
      ? {
          query: weights.linear(facts.stem + record.query, facts.hiddenSize, queryWidth),
          key: weights.linear(facts.stem + record.key, facts.hiddenSize, keyWidth),
          value: weights.linear(facts.stem + record.value, facts.hiddenSize, keyWidth),
        }
      : splitRows(weights.linear(facts.stem + record.fusedQueryKeyValue, facts.hiddenSize, queryWidth + 2 * keyWidth), [
          queryWidth,
          keyWidth,
        ]);

  const mask = resolveMask(config, record.mask, facts.layer, rotaryUsed(model, record, facts.layer), configFile);
  const usesRotary =
    rotaryUsed(model, record, facts.layer) &&
    (record.rotary.onlySlidingLayers !== true || mask.kind === 'sliding' || !config.has('sliding_window'));
  const layerType = layerTypeOf(config, facts.layer);
  const maxPositions = config.optionalInteger(keys.maxPositions)?.value;
  const norms = queryKeyNorms(model, weights, record, facts, { headSize, queryWidth, keyWidth, usesRotary });
  const temperature = record.temperature;
  return {
    kind: 'grouped-query',
    heads,
    keyValueHeads,
    headSize,
    query,
    key,
    value,
    output: weights.linear(facts.stem + record.output, queryWidth, facts.hiddenSize),
    ...norms,
    queryKeyNormScope: record.queryKeyNorm?.scope ?? 'head',
    queryKeyNormOrder: record.queryKeyNorm?.order ?? 'before-rotary',
    clip: record.clipKeys === undefined ? undefined : config.optionalNumber(record.clipKeys)?.value,
    rotary: usesRotary
      ? resolveRotary(config, record.rotary, headSize, maxPositions, layerType, configFile)
      : undefined,
    scale: numberOr(config, record.scaleKeys, headSize ** -0.5),
    mask,
    sinks: record.sinks === undefined ? undefined : weights.vector(facts.stem + record.sinks, heads),
    temperature:
      temperature !== undefined && !usesRotary && flag(config, temperature.when)
        ? { floor: numberOr(config, temperature.floorKeys, 8192), scale: numberOr(config, temperature.scaleKeys, 0.1) }
        : undefined,
  };
}

/** @throws TunerError `contradictoryConfig` for heads that are no whole numbers of anything */
function checkHeads(
  { config, keys, checkpoint }: RecognisedModel,
  { heads, keyValueHeads, headSize }: { heads: number; keyValueHeads: number; headSize: number },
): void {
  const fact =
    heads % keyValueHeads !== 0
      ? `${heads} query heads cannot share ${keyValueHeads} key and value heads.`
      : `The hidden size cannot be divided among ${heads} heads.`;
  if (heads % keyValueHeads !== 0 || !Number.isInteger(headSize)) {
    throw new TunerError('contradictoryConfig', fact, {
      file: checkpoint.configFile,
      place: config.integer(keys.heads).key,
      wayOut: 'Use the config that belongs to these weights.',
    });
  }
}

function rotaryUsed(model: RecognisedModel, record: GroupedQueryRecord, layer: number): boolean {
  const rule = record.rotary.usedInLayers;
  if (rule === undefined) {
    return true;
  }
  const list = model.config.optionalIntegerList([rule.key])?.value ?? [];
  if (list.length > 0) {
    return list[layer] !== 0;
  }
  const interval = model.config.optionalInteger([rule.intervalKey])?.value ?? rule.absentInterval;
  return (layer + 1) % interval !== 0;
}

function queryKeyNorms(
  model: RecognisedModel,
  weights: WeightLookup,
  record: GroupedQueryRecord,
  facts: MixerFacts,
  sizes: { headSize: number; queryWidth: number; keyWidth: number; usesRotary: boolean },
): { queryNorm?: NormSpec; keyNorm?: NormSpec } {
  const rule = record.queryKeyNorm;
  const off =
    rule === undefined ||
    (rule.when !== undefined && !flag(model.config, rule.when)) ||
    (rule.onlyRotaryLayers === true && !sizes.usesRotary);
  if (off) {
    return {};
  }
  const make = (name: string | undefined, width: number): NormSpec =>
    name === undefined
      ? { kind: 'rms', weight: undefined, epsilon: facts.epsilon, offset: 0 }
      : weights.norm(facts.stem + name, rule.scope === 'head' ? sizes.headSize : width, 'rms', facts.epsilon);
  return { queryNorm: make(rule.query, sizes.queryWidth), keyNorm: make(rule.key, sizes.keyWidth) };
}

/** Query, key and value rows of one fused matrix, as byte ranges. */
function splitRows(
  fused: LinearSpec,
  [queryRows, keyRows]: readonly [number, number],
): { query: LinearSpec; key: LinearSpec; value: LinearSpec } {
  const rows = (name: string, start: number, count: number): LinearSpec => {
    if (fused.weight.storage !== 'plain') {
      throw new RangeError('fused attention projections are stored plainly');
    }
    const { entry } = fused.weight;
    const rowBytes = fused.inputSize * dtypeBytes[entry.dtype];
    const part = sliceTensor(entry, `${entry.name}.${name}`, start * rowBytes, [count, fused.inputSize]);
    return { ...fused, weight: { storage: 'plain', entry: part }, outputSize: count };
  };
  return {
    query: rows('query', 0, queryRows),
    key: rows('key', queryRows, keyRows),
    value: rows('value', queryRows + keyRows, keyRows),
  };
}

function resolveLatent(
  model: RecognisedModel,
  weights: WeightLookup,
  record: LatentRecord,
  facts: MixerFacts,
): LatentAttentionSpec {
  const { config, keys } = model;
  const heads = config.integer(keys.heads, { minimum: 1 }).value;
  const ropeSize = config.integer(['qk_rope_head_dim'], { minimum: 2 }).value;
  const noRopeSize = config.integer(['qk_nope_head_dim'], { minimum: 1 }).value;
  const valueSize = config.integer(['v_head_dim'], { minimum: 1 }).value;
  const latentSize = config.integer(['kv_lora_rank'], { minimum: 1 }).value;
  const queryRank = config.optionalInteger(['q_lora_rank'], { minimum: 1 })?.value;
  const queryWidth = heads * (noRopeSize + ropeSize);
  const at = (name: string) => `${facts.stem}self_attn.${name}`;
  const query =
    queryRank === undefined
      ? weights.linear(at('q_proj'), facts.hiddenSize, queryWidth)
      : {
          down: weights.linear(at('q_a_proj'), facts.hiddenSize, queryRank),
          norm: weights.norm(at('q_a_layernorm'), queryRank, 'rms', latentNormEpsilon),
          up: weights.linear(at('q_b_proj'), queryRank, queryWidth),
        };
  const maxPositions = config.optionalInteger(keys.maxPositions)?.value;
  return {
    kind: 'latent',
    heads,
    ropeSize,
    noRopeSize,
    valueSize,
    latentSize,
    query,
    keyValueDown: weights.linear(at('kv_a_proj_with_mqa'), facts.hiddenSize, latentSize + ropeSize),
    keyValueNorm: weights.norm(at('kv_a_layernorm'), latentSize, 'rms', latentNormEpsilon),
    keyValueUp: weights.linear(at('kv_b_proj'), latentSize, heads * (noRopeSize + valueSize)),
    output: weights.linear(at('o_proj'), heads * valueSize, facts.hiddenSize),
    rotary: resolveRotary(config, record.rotary, ropeSize, maxPositions, undefined, model.checkpoint.configFile),
    scale: (noRopeSize + ropeSize) ** -0.5 * latentScaleCorrection(config),
    mask: { kind: 'causal' },
  };
}
