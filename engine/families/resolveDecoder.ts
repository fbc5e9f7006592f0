import { TunerError } from '../protocol/errors';
import type { DecoderRecord } from './familyRecord';
import type { RecognisedModel } from './recognise';
import { resolveActivation } from './resolveActivation';
import { resolveMixer } from './resolveMixer';
import { numberOr } from './resolveRouter';
import type { DecoderLayerSpec, LayerFeedForward, LinearSpec, MoeBlockSpec, ModelSpec } from './specification';
import type { WeightLookup } from './weightLookup';

interface DecoderFacts {
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  readonly layerCount: number;
  readonly blocks: readonly MoeBlockSpec[];
  readonly stemOf: (layer: number) => string;
}

/** The whole decoder from a recognised model. @throws TunerError `unsupportedFeature`, `missingTensor`, `contradictoryConfig` */
export function resolveDecoder(model: RecognisedModel, weights: WeightLookup, facts: DecoderFacts): ModelSpec {
  const { record, config, keys, names, root } = model;
  const decoder = record.decoder;
  if (!decoder.supported) {
    throw new TunerError(
      'unsupportedFeature',
      `The full forward of ${record.title} cannot run here: ${decoder.reason}.`,
      {
        file: model.checkpoint.configFile,
        place: 'model_type',
        wayOut: 'Profile its MoE blocks, or choose a family with a full forward.',
      },
    );
  }
  const epsilon = numberOr(config, keys.normEpsilon, decoder.defaultEpsilon, { minimum: 0 });
  const embedding = weights.shaped(root.root + names.embedding, [facts.vocabularySize, facts.hiddenSize]);
  const blocks = new Map(facts.blocks.map((block) => [block.layer, block]));
  return {
    family: record.name,
    hiddenSize: facts.hiddenSize,
    vocabularySize: facts.vocabularySize,
    embedding,
    embeddingMultiplier: numberOr(config, decoder.embeddingMultiplierKeys, 1),
    layers: Array.from({ length: facts.layerCount }, (_, layer) =>
      resolveLayer(model, weights, decoder, facts, layer, epsilon, blocks.get(layer)),
    ),
    finalNorm: weights.norm(root.root + names.finalNorm, facts.hiddenSize, decoder.norms.kind, epsilon),
    head: resolveHead(model, weights, decoder, facts),
    logitMultiplier: logitMultiplier(model, decoder, facts.hiddenSize),
  };
}

function resolveLayer(
  model: RecognisedModel,
  weights: WeightLookup,
  decoder: DecoderRecord,
  facts: DecoderFacts,
  layer: number,
  epsilon: number,
  block: MoeBlockSpec | undefined,
): DecoderLayerSpec {
  const stem = facts.stemOf(layer);
  const { norms } = decoder;
  return {
    index: layer,
    mixer: resolveMixer(model, weights, decoder, { layer, stem, hiddenSize: facts.hiddenSize, epsilon }),
    mixerNorm: weights.norm(stem + norms.mixer, facts.hiddenSize, norms.kind, epsilon),
    feedForwardNorm: weights.norm(stem + norms.feedForward, facts.hiddenSize, norms.kind, epsilon),
    normPlacement: norms.placement,
    residualMultiplier: residualMultiplier(model, decoder, facts.layerCount),
    feedForward:
      block === undefined ? dense(model, weights, decoder, stem, facts.hiddenSize, layer) : { kind: 'moe', block },
  };
}

function dense(
  model: RecognisedModel,
  weights: WeightLookup,
  decoder: DecoderRecord,
  stem: string,
  hiddenSize: number,
  layer: number,
): LayerFeedForward {
  if (decoder.dense === undefined) {
    weights.tensor(stem + model.record.router.weight);
    throw new RangeError('unreachable: a layer without dense network has a router');
  }
  return {
    kind: 'dense',
    network: weights.network(stem, decoder.dense, hiddenSize),
    activation: resolveActivation(model, layer),
  };
}

function resolveHead(
  model: RecognisedModel,
  weights: WeightLookup,
  decoder: DecoderRecord,
  facts: DecoderFacts,
): LinearSpec {
  const { config, outerConfig, root, names } = model;
  const tiedKeys = decoder.tiedHeadKeys ?? ['tie_word_embeddings'];
  const tied =
    config.optionalBoolean(tiedKeys)?.value ??
    outerConfig.optionalBoolean(tiedKeys)?.value ??
    decoder.tiedHeadAbsent ??
    false;
  const stored = weights.find(`${root.head}.weight`) !== undefined;
  if (stored && !tied) {
    return weights.linear(root.head, facts.hiddenSize, facts.vocabularySize);
  }
  if (!tied) {
    weights.tensor(`${root.head}.weight`);
  }
  const entry = weights.shaped(root.root + names.embedding, [facts.vocabularySize, facts.hiddenSize]);
  return {
    weight: { storage: 'plain', entry },
    orientation: 'output-major',
    inputSize: facts.hiddenSize,
    outputSize: facts.vocabularySize,
  };
}

function residualMultiplier(model: RecognisedModel, decoder: DecoderRecord, layerCount: number): number {
  const rule = decoder.residualMultiplier;
  if (rule === undefined) {
    return 1;
  }
  const value = model.config.optionalNumber(rule.keys)?.value;
  if (value === undefined) {
    return 1;
  }
  return rule.overRootOfLayers ? value / Math.sqrt(layerCount) : value;
}

function logitMultiplier(model: RecognisedModel, decoder: DecoderRecord, hiddenSize: number): number {
  const rule = decoder.logits;
  const value = rule === undefined ? undefined : model.config.optionalNumber(rule.keys)?.value;
  if (rule === undefined || value === undefined) {
    return 1;
  }
  switch (rule.kind) {
    case 'divided':
      return 1 / value;
    case 'multiplied':
      return value;
    case 'hidden-over-base':
      return value / hiddenSize;
  }
}
