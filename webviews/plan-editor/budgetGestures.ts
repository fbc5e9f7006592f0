import type { LayerState } from './layerState';

/** A number a gesture gives a layer. */
export interface BudgetChange {
  readonly position: number;
  readonly active: number;
}

type Target = Pick<LayerState, 'position' | 'active' | 'trained' | 'locked'>;

/** Numbers a gesture may give: from 1 to the trained one, and what the plan says already. */
function within(value: number, { active, trained }: Target): number {
  return Math.max(1, Math.min(Math.max(trained, active), Math.round(value)));
}

/** The changes that a rule makes on some layers. Locked layers and layers that have their number already are left out. */
function changesBy(
  layers: readonly Target[],
  positions: Iterable<number>,
  rule: (layer: Target, place: number) => number,
): BudgetChange[] {
  return [...positions]
    .sort((one, other) => one - other)
    .flatMap((position, place) => {
      const layer = layers[position];
      if (layer === undefined || layer.locked) {
        return [];
      }
      const active = within(rule(layer, place), layer);
      return active === layer.active ? [] : [{ position, active }];
    });
}

/** So many active experts more or fewer on each of some layers. */
export function stepped(layers: readonly Target[], positions: Iterable<number>, by: number): BudgetChange[] {
  return changesBy(layers, positions, ({ active }) => active + by);
}

/** The same number on some layers. */
export function setAll(layers: readonly Target[], positions: Iterable<number>, active: number): BudgetChange[] {
  return changesBy(layers, positions, () => active);
}

/** The numbers some layers were trained with. */
export function asTrained(layers: readonly Target[], positions: Iterable<number>): BudgetChange[] {
  return changesBy(layers, positions, ({ trained }) => trained);
}

/** A straight line over the depth, from one number on the first of some layers to another on the last, rounded. */
export function gradient(
  layers: readonly Target[],
  positions: readonly number[],
  first: number,
  last: number,
): BudgetChange[] {
  const steps = Math.max(1, positions.length - 1);
  return changesBy(layers, positions, (_, place) => first + ((last - first) * place) / steps);
}

/** A whole allocation, as a point of the front has it. */
export function allocated(layers: readonly Target[], activeExperts: readonly number[]): BudgetChange[] {
  return layers.flatMap(({ position, active }) => {
    const wanted = activeExperts[position];
    return wanted === undefined || wanted === active ? [] : [{ position, active: wanted }];
  });
}

/** The layers with some changes made. */
export function withChanges(layers: readonly LayerState[], changes: readonly BudgetChange[]): readonly LayerState[] {
  if (changes.length === 0) {
    return layers;
  }
  const byPosition = new Map(changes.map(({ position, active }) => [position, active]));
  return layers.map((layer) => ({ ...layer, active: byPosition.get(layer.position) ?? layer.active }));
}
