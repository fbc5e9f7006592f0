import path from 'node:path';
import type { CheckpointSummary, LayerSummary } from '../protocol/checkpointSummary';
import type { TensorEntry } from '../checkpoint/types';
import type { ResolvedModel } from '../families/resolveModel';
import { networkParameters } from '../families/networkParameters';
import { specTensors } from '../families/specTensors';
import { allPredictionTensors } from '../transform/predictionTensors';
import { isOnnxModel } from '../onnxModel/isOnnxModel';
import { gateReferenceRefusal } from './gateReference';
import { openModel } from './openModel';

/** What the headers of a checkpoint say; no weights are read but samples of the routers. */
export async function inspect(folder: string): Promise<CheckpointSummary> {
  if (await isOnnxModel(folder)) {
    // Most checkpoints are none: inspecting them does not load what reads ONNX files.
    return (await import('./inspectOnnx')).inspectOnnx(folder);
  }
  const { checkpoint, resolved, fingerprint } = await openModel(folder);
  const blocks = new Map(resolved.blocks.map((block) => [block.layer, block]));
  const layers = Array.from({ length: resolved.layerCount }, (_, index): LayerSummary => {
    const block = blocks.get(index);
    return {
      index,
      moe: block !== undefined,
      experts: block?.experts.length ?? 0,
      active: block?.activeExperts ?? 0,
      sharedExperts: (block?.shared ?? block?.beside)?.count ?? 0,
      expertBytes: block === undefined ? 0 : bytesOf(specTensors(block.experts)),
      ...(block?.experts[0] === undefined ? {} : { expertParameters: networkParameters(block.experts[0]) }),
    };
  });
  const all = [...checkpoint.tensors.values()];
  const first = resolved.blocks[0]!;
  return {
    folder: checkpoint.folder,
    name: path.basename(checkpoint.folder),
    family: resolved.recognised.record.name,
    modelType: resolved.recognised.modelType,
    parameters: parametersOf(all),
    activeParameters: parametersOf(usedByTokens(resolved)) - inactiveParameters(resolved),
    bytes: checkpoint.bytes,
    expertBytes: layers.reduce((sum, layer) => sum + layer.expertBytes, 0),
    dtype: mostCommonDtype(all),
    hiddenSize: resolved.hiddenSize,
    expertIntermediateSize: first.intermediateSize,
    vocabularySize: resolved.vocabularySize,
    experts: resolved.experts,
    activeExperts: resolved.activeExperts,
    fingerprint,
    hasTokenizer: checkpoint.tokenizerFile !== undefined,
    configKeys: { ...resolved.configKeys, ...dtypeKey(resolved) },
    forward: capability(resolved.forwardRefusal),
    block: { supported: true },
    gateReference: capability(gateReferenceRefusal(resolved.blocks)),
    layers,
    warnings: [...resolved.warnings],
  };
}

function capability(refusal: string | undefined): CheckpointSummary['forward'] {
  return refusal === undefined ? { supported: true } : { supported: false, reason: refusal };
}

function dtypeKey({ recognised }: ResolvedModel): { dtype?: string } {
  const found = recognised.config.optionalString(['dtype', 'torch_dtype']);
  return found === undefined ? {} : { dtype: found.key };
}

/** Packed 4-bit codes count two parameters a byte; their scales count none. */
function parametersOf(entries: readonly TensorEntry[]): number {
  return entries.reduce((sum, { name, shape }) => {
    if (/_scales$|_scale_inv$/.test(name)) {
      return sum;
    }
    const values = shape.reduce((product, size) => product * size, 1);
    return sum + (name.endsWith('_blocks') ? 2 * values : values);
  }, 0);
}

/** Tensors that take part when a token is computed: all but those that predict further tokens. */
function usedByTokens(resolved: ResolvedModel): TensorEntry[] {
  const { tensors } = resolved.recognised.checkpoint;
  const prediction = new Set(allPredictionTensors(resolved));
  return [...tensors.values()].filter(({ name }) => !prediction.has(name));
}

/** Parameters of the routed experts that one token does not use. */
function inactiveParameters({ blocks, recognised }: ResolvedModel): number {
  const { checkpoint, record, root, names } = recognised;
  return blocks.reduce((sum, { layer, experts, activeExperts }) => {
    const stem = root.root + names.layer.replace('{layer}', String(layer));
    const others = (record.otherExperts ?? []).flatMap((name) => checkpoint.tensors.get(stem + name) ?? []);
    const perExpert = networkParameters(experts[0]!) + parametersOf(others) / experts.length;
    return sum + perExpert * (experts.length - activeExperts);
  }, 0);
}

function bytesOf(entries: readonly TensorEntry[]): number {
  return entries.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function mostCommonDtype(entries: readonly TensorEntry[]): string {
  const bytes = new Map<string, number>();
  for (const { dtype, byteLength } of entries) {
    bytes.set(dtype, (bytes.get(dtype) ?? 0) + byteLength);
  }
  return [...bytes].sort((left, right) => right[1] - left[1])[0]?.[0] ?? 'none';
}
