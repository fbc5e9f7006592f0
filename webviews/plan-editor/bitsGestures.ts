import type { PlanQuantize } from '../../engine/protocol/plan';
import { layerBits, projections } from './bitsModel';
import type { Projection, ProjectionBits } from './bitsModel';
import type { NewEdit } from './pendingEdits';

/** What a gesture changes: a projection of a layer, or one of its remaining experts, counted in order. */
export interface BitsCell {
  readonly position: number;
  readonly projection: Projection;
  readonly order?: number;
}

export type BitsChange = Extract<NewEdit, { kind: 'setBits' }>['changes'][number];

/** One number where all experts have the same. */
function shortest(bits: readonly number[]): ProjectionBits {
  const [first] = bits;
  return first !== undefined && bits.every((each) => each === first) ? first : bits;
}

function isSame(one: ProjectionBits, other: ProjectionBits): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/**
 * Gives some cells their bits; cells whose projection the plan does not list are left alone.
 *
 * @param remaining how many experts each layer has left
 */
export function setBits(
  { layers }: Pick<PlanQuantize, 'layers'>,
  remaining: readonly number[],
  cells: readonly BitsCell[],
  bits: number,
): BitsChange[] {
  const changed = new Map<
    string,
    { readonly cell: BitsCell; readonly before: ProjectionBits; after: ProjectionBits }
  >();
  for (const cell of cells) {
    const { position, projection, order } = cell;
    const before = layerBits(layers[position], projection);
    if (before === undefined) {
      continue;
    }
    const key = `${String(position)} ${projection}`;
    const entry = changed.get(key) ?? { cell, before, after: before };
    const { after } = entry;
    if (order === undefined) {
      entry.after = bits;
    } else {
      const each =
        typeof after === 'number' ? Array.from({ length: remaining[position] ?? 0 }, () => after) : [...after];
      each[order] = bits;
      entry.after = shortest(each);
    }
    changed.set(key, entry);
  }
  return [...changed.values()].flatMap(({ cell: { position, projection }, before, after }) =>
    isSame(before, after) ? [] : [{ position, projection, bits: typeof after === 'number' ? after : [...after] }],
  );
}

/** A usual way to spread bits, as data. */
export interface BitsPreset {
  readonly name: 'planPresetFour' | 'planPresetEight' | 'planPresetDown' | 'planPresetEnds';
  readonly bitsOf: (position: number, layers: number, projection: Projection) => number;
}

export const bitsPresets: readonly BitsPreset[] = [
  { name: 'planPresetFour', bitsOf: () => 4 },
  { name: 'planPresetEight', bitsOf: () => 8 },
  // As the usual mixes of GGUF files have it: more bits where the experts write their output.
  { name: 'planPresetDown', bitsOf: (_position, _layers, projection) => (projection === 'down' ? 4 : 3) },
  { name: 'planPresetEnds', bitsOf: (position, layers) => (position === 0 || position === layers - 1 ? 8 : 4) },
];

/** A preset over all layers; projections the plan does not list are left alone. */
export function applyPreset({ layers }: Pick<PlanQuantize, 'layers'>, { bitsOf }: BitsPreset): BitsChange[] {
  return layers.flatMap((layer, position) =>
    projections.flatMap((projection) => {
      const before = layerBits(layer, projection);
      const bits = bitsOf(position, layers.length, projection);
      return before === undefined || isSame(before, bits) ? [] : [{ position, projection, bits }];
    }),
  );
}
