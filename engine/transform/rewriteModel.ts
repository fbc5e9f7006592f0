import { dtypeBytes, type TensorEntry } from '../checkpoint/types';
import type { ResolvedModel } from '../families/resolveModel';
import type { FeedForwardSpec, LinearSpec, ModelSpec, MoeBlockSpec, RouterSpec } from '../families/specification';
import { TunerError } from '../protocol/errors';
import { changedLinears } from './changedLinears';
import { replaceLinear, replaceValues, type EntryReplacement } from './computedLinear';
import { expertNumber, expertTensors, type ExpertTensors } from './expertTensors';
import { predictionTensors } from './predictionTensors';
import { TensorLocator } from './tensorLocator';
import { composeRange, storedPiece, type Replacement, type RewrittenTensor, type TensorPiece } from './tensorRewrite';
import { joinedValues } from './weightValues';

/** A model before and after a plan. */
export interface ChangedModel {
  readonly resolved: ResolvedModel;
  /** MoE blocks in layer order, as the plan makes them. */
  readonly blocks: readonly MoeBlockSpec[];
  /** Original numbers of their experts: whose names and files they take. */
  readonly experts: readonly (readonly number[])[];
  /** The decoder before and after, where the family has one: its linear maps outside the MoE blocks may differ too. */
  readonly decoder?: { readonly before: ModelSpec; readonly after: ModelSpec } | undefined;
}

/** Every tensor of the changed checkpoint, in the order of the original. */
export interface RewrittenModel {
  readonly tensors: readonly RewrittenTensor[];
  /** Names of next-token-prediction tensors that are left out because their experts would not fit the new count. */
  readonly removedPrediction: readonly string[];
}

/** What happens to the experts of one layer. */
interface LayerEdit extends ExpertTensors {
  readonly experts: number;
  /** Original numbers of the experts that stay, in order. */
  readonly kept: readonly number[];
  /** New number by original number. */
  readonly renumbered: ReadonlyMap<number, number>;
  /** Router tensors with computed rows, by name. */
  readonly rows: ReadonlyMap<string, TensorEntry>;
}

/**
 * Maps the tensors of a checkpoint to those of the changed model: kept, sliced, renumbered, computed or dropped. Nothing is
 * read but headers; written tensors keep name, dtype, axis order and file of the original.
 * @throws TunerError `unsupportedFeature` where the storage of the checkpoint cannot express the change
 */
export function rewriteModel({ resolved, blocks, experts, decoder }: ChangedModel): RewrittenModel {
  const { recognised } = resolved;
  const { checkpoint, record, root, names } = recognised;
  const locator = new TensorLocator(checkpoint);
  const replacements = new Map<string, Replacement[]>();
  const replace = (found: readonly EntryReplacement[]) => {
    for (const { entry, piece } of found) {
      const { tensor, start } = locator.place(entry);
      const known = replacements.get(tensor.name) ?? [];
      known.push({ start, piece });
      replacements.set(tensor.name, known);
    }
  };
  const edits: LayerEdit[] = [];
  for (const [at, changed] of blocks.entries()) {
    const original = resolved.blocks[at]!;
    if (changed === original) {
      continue;
    }
    const kept = experts[at]!;
    assertWritable(original, changed, kept);
    const factor = changed.routedScale ?? 1;
    kept.forEach((expert, position) => {
      replace(expertReplacements(original.experts[expert]!, changed.experts[position]!, factor));
    });
    for (const { before, after } of changedLinears(withoutExperts(original), withoutExperts(changed))) {
      replace(replaceLinear(before, after, 1));
    }
    const rows = computedRows(original.router, changed.router, locator);
    if (kept.length < original.experts.length || rows.size > 0) {
      const stem = root.root + names.layer.replace('{layer}', String(original.layer));
      edits.push({
        ...expertTensors(record, stem, original, checkpoint.tensors, locator),
        experts: original.experts.length,
        kept,
        renumbered: new Map(kept.map((expert, position) => [expert, position])),
        rows,
      });
    }
  }
  for (const { before, after } of decoder === undefined
    ? []
    : changedLinears(outside(decoder.before), outside(decoder.after))) {
    replace(replaceLinear(before, after, 1));
  }
  const fewer = edits.some(({ kept, experts: before }) => kept.length < before);
  const removed = new Set(fewer ? predictionTensors(resolved) : []);
  const byName = editsByName(edits, checkpoint.tensors);
  const tensors: RewrittenTensor[] = [];
  for (const entry of checkpoint.tensors.values()) {
    if (!removed.has(entry.name)) {
      tensors.push(...rewriteTensor(entry, byName.get(entry.name), replacements.get(entry.name) ?? []));
    }
  }
  return { tensors, removedPrediction: [...removed] };
}

/** @throws TunerError `unsupportedFeature` for what no checkpoint can say */
function assertWritable(original: MoeBlockSpec, changed: MoeBlockSpec, kept: readonly number[]): void {
  if (kept.length !== changed.experts.length) {
    throw new TunerError(
      'internal',
      `Layer ${original.layer} has ${changed.experts.length} experts, not ${kept.length}.`,
    );
  }
  if (changed.router.gateReference !== undefined) {
    throw new TunerError(
      'unsupportedFeature',
      'No runtime divides gates by the scores of more experts than are active, so the plan cannot be written.',
      { place: 'gates.reference', wayOut: 'Use "scale" of the gates section instead, which goes into the weights.' },
    );
  }
}

/** Tensors of a router that the plan computed, by the name of the original: one row per remaining expert. */
function computedRows(
  original: RouterSpec,
  changed: RouterSpec,
  locator: TensorLocator,
): ReadonlyMap<string, TensorEntry> {
  const found = new Map<string, TensorEntry>();
  const compare = (before: TensorEntry | undefined, after: TensorEntry | undefined) => {
    if (before === undefined || after === undefined || before === after) {
      return;
    }
    const { tensor } = locator.place(before);
    if (tensor.dtype !== after.dtype) {
      throw new TunerError('unsupportedFeature', `Computed router rows cannot be stored as ${tensor.dtype}.`, {
        file: tensor.file,
        place: tensor.name,
        wayOut: 'Let each group keep the row of its first expert.',
      });
    }
    found.set(tensor.name, after);
  };
  const plain = ({ weight }: RouterSpec) => (weight.storage === 'plain' ? weight.entry : undefined);
  compare(plain(original), plain(changed));
  compare(original.bias, changed.bias);
  compare(original.selectionBias, changed.selectionBias);
  return found;
}

/** The output of an expert is linear in its last map, bias included: the factor goes there. */
function expertReplacements(slot: FeedForwardSpec, source: FeedForwardSpec, factor: number): EntryReplacement[] {
  const down = replaceLinear(slot.down, source.down, factor);
  if (slot.layout === 'fused-gated' && source.layout === 'gated') {
    return [...replaceValues(slot.gateUp, joinedValues(source.gate, source.up, slot.arrangement)), ...down];
  }
  const [places, maps] = [mapsBefore(slot), mapsBefore(source)];
  if (slot.layout !== source.layout) {
    throw new TunerError('internal', `An expert of layout ${slot.layout} became one of layout ${source.layout}.`);
  }
  return [...places.flatMap((place, at) => replaceLinear(place, maps[at]!, 1)), ...down];
}

/** Linear maps of a network before the down projection. */
function mapsBefore(network: FeedForwardSpec): LinearSpec[] {
  switch (network.layout) {
    case 'gated':
      return [network.gate, network.up];
    case 'fused-gated':
      return [network.gateUp];
    case 'ungated':
      return [network.up];
  }
}

function withoutExperts({ shared, beside }: MoeBlockSpec): unknown {
  return { shared, beside };
}

/** A decoder without its MoE blocks. */
function outside(model: ModelSpec): unknown {
  return {
    head: model.head,
    layers: model.layers.map((layer) => ({
      mixer: layer.mixer,
      network: layer.feedForward.kind === 'dense' ? layer.feedForward.network : undefined,
    })),
  };
}

/** What happens to a tensor because of its layer's experts; `expert` is its number where it belongs to one. */
interface TensorEdit {
  readonly edit: LayerEdit;
  readonly prefix?: string;
  readonly expert?: number;
}

function editsByName(
  edits: readonly LayerEdit[],
  tensors: ReadonlyMap<string, TensorEntry>,
): ReadonlyMap<string, TensorEdit> {
  const found = new Map<string, TensorEdit>();
  const prefixes = new Map<string, LayerEdit>();
  for (const edit of edits) {
    edit.stacked.forEach((name) => found.set(name, { edit }));
    edit.numbered.forEach((prefix) => prefixes.set(prefix, edit));
  }
  for (const name of tensors.keys()) {
    for (const { index } of name.matchAll(/\.(?=\d+\.)/g)) {
      const prefix = name.slice(0, index + 1);
      const edit = prefixes.get(prefix);
      if (edit !== undefined) {
        found.set(name, { edit, prefix, expert: expertNumber(name, prefix)! });
      }
    }
  }
  return found;
}

function rewriteTensor(
  entry: TensorEntry,
  change: TensorEdit | undefined,
  replacements: readonly Replacement[],
): RewrittenTensor[] {
  const { name, dtype, shape } = entry;
  if (change?.prefix !== undefined) {
    const number = change.edit.renumbered.get(change.expert!);
    if (number === undefined) {
      return [];
    }
    const rest = name.slice(change.prefix.length + String(change.expert).length);
    const pieces = composeRange(entry, { start: 0, length: entry.byteLength }, replacements);
    return [{ name: `${change.prefix}${number}${rest}`, dtype, shape, original: entry, pieces }];
  }
  if (change === undefined) {
    const pieces = composeRange(entry, { start: 0, length: entry.byteLength }, replacements);
    return [{ name, dtype, shape, original: entry, pieces }];
  }
  const { experts, kept, rows } = change.edit;
  const computed = rows.get(name);
  const axis = expertAxis(entry, experts);
  const length = entry.byteLength / experts;
  const pieces =
    computed === undefined
      ? kept.flatMap((expert): TensorPiece[] => composeRange(entry, { start: expert * length, length }, replacements))
      : [storedPiece(computed)];
  const sliced = shape.map((size, at) => (at === axis ? (size / experts) * kept.length : size));
  return [{ name, dtype, shape: sliced, original: entry, pieces }];
}

/** The outermost axis that is longer than one must hold the experts one after the other. */
function expertAxis({ name, file, dtype, shape, byteLength }: TensorEntry, experts: number): number {
  const axis = shape.findIndex((size) => size > 1);
  if (axis === -1 || shape[axis]! % experts !== 0 || byteLength % (experts * dtypeBytes[dtype]) !== 0) {
    throw new TunerError('internal', `The tensor does not hold ${experts} experts one after the other.`, {
      file,
      place: name,
    });
  }
  return axis;
}
