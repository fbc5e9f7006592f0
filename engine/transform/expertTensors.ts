import type { TensorEntry } from '../checkpoint/types';
import type { ExpertLayout, FamilyRecord } from '../families/familyRecord';
import { specTensors } from '../families/specTensors';
import type { MoeBlockSpec } from '../families/specification';
import { TunerError } from '../protocol/errors';
import type { TensorLocator } from './tensorLocator';

/** Which tensors of one layer follow the number of experts, and how. */
export interface ExpertTensors {
  /** Names that begin with one of these go on with the number of an expert and a dot. */
  readonly numbered: readonly string[];
  /** Names of tensors that hold something for every expert in turn on one axis. */
  readonly stacked: ReadonlySet<string>;
}

/**
 * Finds, from the record of the family and the resolved block, every tensor of a layer that changes with its experts.
 * @throws TunerError `unsupportedFeature` for tensors of the block that are as long as there are experts and that the record
 * does not know: guessing what they mean could break the model silently
 */
export function expertTensors(
  record: FamilyRecord,
  stem: string,
  block: MoeBlockSpec,
  tensors: ReadonlyMap<string, TensorEntry>,
  locator: TensorLocator,
): ExpertTensors {
  const numbered = [...new Set(record.experts.flatMap(numberedNames))].map((prefix) => stem + prefix);
  const isNumbered = (name: string) => numbered.some((prefix) => expertNumber(name, prefix) !== undefined);
  const parents = specTensors(block.experts).map((entry) => locator.place(entry).tensor.name);
  const router = [record.router.weight, record.router.bias, record.router.selectionBias]
    .filter((name) => name !== undefined)
    .map((name) => stem + name)
    .filter((name) => tensors.has(name));
  const stacked = new Set([...parents.filter((name) => !isNumbered(name)), ...router]);
  const known = new Set([
    ...stacked,
    ...specTensors({ ...block, experts: [] }).map((entry) => locator.place(entry).tensor.name),
  ]);
  const module = blockModule(record, stem);
  for (const [name, { shape, file }] of tensors) {
    const unknown = name.startsWith(module) && !known.has(name) && !isNumbered(name);
    if (unknown && shape.includes(block.experts.length)) {
      throw new TunerError(
        'unsupportedFeature',
        `A tensor of decoder layer ${block.layer} is as long as there are experts, and what it means is not known.`,
        { file, place: name, wayOut: 'Choose a plan that keeps all experts, or a checkpoint without this tensor.' },
      );
    }
  }
  return { numbered, stacked };
}

/** Number of the expert that a tensor belongs to, under one prefix. */
export function expertNumber(name: string, prefix: string): number | undefined {
  const digits = name.startsWith(prefix) ? /^(\d+)\./.exec(name.slice(prefix.length))?.[1] : undefined;
  return digits === undefined ? undefined : Number(digits);
}

function numberedNames(layout: ExpertLayout): string[] {
  switch (layout.layout) {
    case 'separate':
      return [layout.gate, layout.up, layout.down].map(beforeNumber);
    case 'separate-ungated':
      return [layout.up, layout.down].map(beforeNumber);
    case 'fused':
    case 'fused-mxfp4':
    case 'stacked':
    case 'row-blocks':
      return [];
  }
}

function beforeNumber(name: string): string {
  return name.slice(0, name.indexOf('{expert}'));
}

/** The module that router and experts share: the dotted beginning that all their names have. */
function blockModule(record: FamilyRecord, stem: string): string {
  const names = [
    record.router.weight,
    ...record.experts.map((layout) => ('up' in layout ? layout.up : layout.gateUp)),
  ].map((name) => name.split('.'));
  const [first, ...others] = names;
  const shared = first!.findIndex((part, at) => others.some((name) => name[at] !== part));
  return stem + first!.slice(0, shared === -1 ? first!.length - 1 : shared).join('.') + '.';
}
