import type { Checkpoint, TensorEntry } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import { WeightLookup } from './weightLookup';
import { checkExpertWidth, checkLayerCount } from './checkAgainstTensors';
import { recognise, type RecognisedModel } from './recognise';
import { resolveActivation } from './resolveActivation';
import { resolveDecoder } from './resolveDecoder';
import { resolveExperts } from './resolveExperts';
import { numberOr, resolveRouter } from './resolveRouter';
import type { FeedForwardSpec, MoeBlockSpec, ModelSpec, NormSpec, SharedExpertSpec } from './specification';
import { checkTunedActiveExperts, tunedActiveExperts } from './tunedActiveExperts';

/** Modules that predict further tokens during training. */
export const predictionModule = /^(model\.|language_model\.)*mtp(_|\.)/;

/** A checkpoint with its family applied: the MoE blocks, and the whole decoder where the forward is supported. */
export interface ResolvedModel {
  readonly recognised: RecognisedModel;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  readonly layerCount: number;
  /** Routed experts and active experts as the config states them, with the keys that do. */
  readonly experts: number;
  readonly activeExperts: number;
  readonly configKeys: { readonly experts: string; readonly activeExperts: string };
  /** MoE blocks in layer order. */
  readonly blocks: readonly MoeBlockSpec[];
  /** Why the full forward cannot run; undefined when it can. */
  readonly forwardRefusal: string | undefined;
  readonly warnings: readonly string[];
  /** The norm whose output a layer's block reads; undefined for families without one there (post-norm layers). */
  blockNorm(layer: number): NormSpec | undefined;
  /** The whole decoder. @throws TunerError `unsupportedFeature` for families without a forward, `missingTensor`, … */
  decoder(): ModelSpec;
}

/**
 * Applies the family table to an opened checkpoint. Reads headers only; every tensor that a graph would use is checked.
 * @throws TunerError `unknownFamily`, `notMixtureOfExperts`, `missingTensor`, `contradictoryConfig`, `malformedConfig`
 */
export function resolveModel(checkpoint: Checkpoint): ResolvedModel {
  const recognised = recognise(checkpoint);
  const { config, keys, names, root, record } = recognised;
  const hiddenSize = config.integer(keys.hiddenSize, { minimum: 1 }).value;
  const vocabularySize = config.integer(keys.vocabularySize, { minimum: 1 }).value;
  const layerCount = config.integer(keys.layers, { minimum: 1 }).value;
  const present = checkLayerCount(recognised, layerCount);
  const experts = expertCount(recognised);
  const active = activePerLayer(recognised, layerCount);
  const tuned = tunedActiveExperts(recognised);
  const weights = new WeightLookup(checkpoint);
  const stemOf = (layer: number) => root.root + names.layer.replace('{layer}', String(layer));

  const blocks: MoeBlockSpec[] = [];
  for (let layer = 0; layer < layerCount; layer += 1) {
    const stem = stemOf(layer);
    const router = weights.find(stem + record.router.weight);
    if (router === undefined) {
      continue;
    }
    checkRouterRows(checkpoint, router, experts, hiddenSize);
    const k = tuned?.value[blocks.length] ?? active.of(layer);
    if (k > experts.value) {
      throw new TunerError(
        'contradictoryConfig',
        `${k} active experts per token are more than the ${experts.value} experts of a layer.`,
        {
          file: checkpoint.configFile,
          place: active.key,
          wayOut: `Set ${active.key} to at most ${experts.value}.`,
          fix: { key: active.key, value: experts.value },
        },
      );
    }
    const facts = { stem, hiddenSize, experts: experts.value };
    const routed = resolveExperts(weights, record.experts, facts);
    checkExpertWidth(recognised, layer, widthOf(routed[0]!));
    const averaged = sharedIsAveraged(recognised);
    const shared = resolveShared(recognised, weights, { stem, layer, hiddenSize, averaged });
    const pipeline = resolveRouter(weights, config, record.router, facts);
    blocks.push({
      layer,
      hiddenSize,
      intermediateSize: widthOf(routed[0]!),
      experts: routed,
      activeExperts: k,
      router: averaged && shared !== undefined ? { ...pipeline, scale: pipeline.scale / 2 } : pipeline,
      activation: resolveActivation(recognised, layer),
      ...(record.shared?.beside === true ? { beside: shared } : { shared }),
      outputBias: record.outputBias === undefined ? undefined : weights.vector(stem + record.outputBias, hiddenSize),
    });
  }
  if (blocks.length === 0) {
    throw new TunerError('notMixtureOfExperts', 'No decoder layer has a router.', {
      file: checkpoint.folder,
      place: stemOf(0) + record.router.weight,
      wayOut: 'Check that config.json belongs to these weights.',
    });
  }
  if (tuned !== undefined) {
    const most = Math.max(...blocks.map(({ layer }) => active.of(layer)));
    checkTunedActiveExperts(recognised, tuned, { key: active.key, most }, blocks.length);
  }
  return {
    recognised,
    hiddenSize,
    vocabularySize,
    layerCount,
    experts: experts.value,
    activeExperts: Math.max(...blocks.map((block) => block.activeExperts)),
    configKeys: { experts: experts.key, activeExperts: active.key },
    blocks,
    forwardRefusal: record.decoder.supported
      ? undefined
      : `The full forward of ${record.title} cannot run here: ${record.decoder.reason}.`,
    warnings: [
      ...(record.warnings ?? []),
      ...defaultWarnings(recognised, active.key),
      ...extraLayerWarnings(recognised, present, layerCount),
    ],
    blockNorm: (layer) => resolveBlockNorm(recognised, weights, stemOf(layer), hiddenSize),
    decoder: () => resolveDecoder(recognised, weights, { hiddenSize, vocabularySize, layerCount, blocks, stemOf }),
  };
}

/** The router has one row per expert: another number of rows means that the config states a wrong expert count. */
function checkRouterRows(
  checkpoint: Checkpoint,
  router: TensorEntry,
  experts: { readonly key: string; readonly value: number },
  hiddenSize: number,
): void {
  const [rows, columns] = router.shape;
  if (router.shape.length !== 2 || columns !== hiddenSize || rows === undefined || rows === experts.value) {
    return;
  }
  throw new TunerError(
    'contradictoryConfig',
    `The config says ${experts.value} experts, but the router ${router.name} has ${rows} rows.`,
    {
      file: checkpoint.configFile,
      place: experts.key,
      wayOut: `Set ${experts.key} to ${rows}.`,
      fix: { key: experts.key, value: rows },
    },
  );
}

/** Width of the hidden activation of a network. */
export function widthOf(network: FeedForwardSpec): number {
  return network.layout === 'fused-gated' ? network.gateUp.outputSize / 2 : network.up.outputSize;
}

/** Experts of every layer; Hunyuan configs may repeat the number for each layer. */
function expertCount({ config, keys, checkpoint }: RecognisedModel): { readonly key: string; readonly value: number } {
  const listKey = keys.experts.find((key) => Array.isArray(config.raw(key)));
  if (listKey === undefined) {
    return config.integer(keys.experts, { minimum: 1 });
  }
  const { key, value } = config.integerList([listKey]);
  const first = value[0];
  if (first === undefined || first < 1 || value.some((count) => count !== first)) {
    throw new TunerError('unsupportedFeature', 'Layers with different numbers of experts are not supported.', {
      file: checkpoint.configFile,
      place: key,
      wayOut: 'Use a checkpoint whose layers have the same number of experts.',
    });
  }
  return { key, value: first };
}

/** k may be one number or, in Hunyuan configs, one per decoder layer. */
function activePerLayer(model: RecognisedModel, layerCount: number): { key: string; of: (layer: number) => number } {
  const { config, keys, checkpoint } = model;
  const listKey = keys.activeExperts.find((key) => Array.isArray(config.raw(key)));
  if (listKey === undefined) {
    const { key, value } = config.integer(keys.activeExperts, { minimum: 1 });
    return { key, of: () => value };
  }
  const { key, value } = config.integerList([listKey]);
  if (value.length !== layerCount || value.some((k) => k < 1)) {
    throw new TunerError('malformedConfig', `This list must hold ${layerCount} positive numbers, one per layer.`, {
      file: checkpoint.configFile,
      place: key,
      wayOut: 'Correct the list, or give one number.',
    });
  }
  return { key, of: (layer) => value[layer]! };
}

/** Whether the block's output is the mean of shared and routed experts instead of their sum (Cohere2-MoE). */
function sharedIsAveraged({ record, config }: RecognisedModel): boolean {
  const rule = record.shared?.averagedWhen;
  return rule !== undefined && (config.optionalString([rule.key])?.value ?? rule.absent) === rule.equals;
}

function resolveShared(
  model: RecognisedModel,
  weights: WeightLookup,
  facts: { readonly stem: string; readonly layer: number; readonly hiddenSize: number; readonly averaged: boolean },
): SharedExpertSpec | undefined {
  const { shared } = model.record;
  const { stem, layer, hiddenSize, averaged } = facts;
  if (shared === undefined || weights.find(`${stem}${shared.network.down}.weight`) === undefined) {
    return undefined;
  }
  return {
    network: weights.network(stem, shared.network, hiddenSize),
    activation: resolveActivation(model, layer, shared.activation),
    count: sharedCount(model, layer),
    gate: shared.gate === undefined ? undefined : weights.linear(stem + shared.gate, hiddenSize, 1),
    scale: averaged ? 0.5 : undefined,
  };
}

/** Shared experts that the network stands for: one number, or, in Hunyuan configs, one per decoder layer. */
function sharedCount({ config, keys }: RecognisedModel, layer: number): number {
  const listKey = keys.sharedExperts.find((key) => Array.isArray(config.raw(key)));
  return listKey === undefined
    ? (config.optionalInteger(keys.sharedExperts)?.value ?? 1)
    : (config.integerList([listKey]).value[layer] ?? 1);
}

function resolveBlockNorm(
  { record, config, keys }: RecognisedModel,
  weights: WeightLookup,
  stem: string,
  hiddenSize: number,
): NormSpec | undefined {
  const { decoder } = record;
  if (!decoder.supported) {
    const epsilon = numberOr(config, keys.normEpsilon, 1e-6, { minimum: 0 });
    return decoder.blockNorm === undefined
      ? undefined
      : weights.norm(stem + decoder.blockNorm.name, hiddenSize, 'rms', epsilon, decoder.blockNorm.offset);
  }
  const epsilon = numberOr(config, keys.normEpsilon, decoder.defaultEpsilon, { minimum: 0 });
  return decoder.norms.placement === 'post'
    ? undefined
    : weights.norm(stem + decoder.norms.feedForward, hiddenSize, decoder.norms.kind, epsilon);
}

/** A number that this tool is about, and that the config leaves to the reference implementation: say which one holds. */
function defaultWarnings({ config, keys, record }: RecognisedModel, activeKey: string): string[] {
  if (keys.activeExperts.some((key) => config.states(key))) {
    return [];
  }
  const { value } = config.integer(keys.activeExperts);
  return [`config.json lacks ${activeKey}: ${value}, the default of ${record.title}, holds.`];
}

/** Next-token-prediction heads (layers past the configured count, or `mtp` modules) take no part; say so. */
function extraLayerWarnings(model: RecognisedModel, present: readonly number[], layerCount: number): string[] {
  if (present.some((layer) => layer >= layerCount)) {
    return [`Tensors of layer ${layerCount} and above (next-token prediction) are left out of every measurement.`];
  }
  for (const name of model.checkpoint.tensors.keys()) {
    if (predictionModule.test(name)) {
      return ['Next-token-prediction modules (mtp) are left out of every measurement.'];
    }
  }
  return [];
}
