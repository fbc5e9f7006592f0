import type { SeededRandom } from '../../engine/numeric/seededRandom';
import { totalCost, totalLoss, type BudgetTable } from '../../engine/methods/budgets/lossTable';
import type { ProfileResult } from '../../engine/protocol/sensitivity';

/** Every allocation the bounds of a table allow. */
export function allAllocations(table: BudgetTable): number[][] {
  return table.layers.reduce<number[][]>(
    (prefixes, { minimum, maximum }) =>
      prefixes.flatMap((prefix) =>
        Array.from({ length: maximum - minimum + 1 }, (_, extra) => [...prefix, minimum + extra]),
      ),
    [[]],
  );
}

/** Smallest loss by exact total, by trying everything. */
export function bruteForce(table: BudgetTable): Map<number, { loss: number; allocations: number[][] }> {
  const best = new Map<number, { loss: number; allocations: number[][] }>();
  for (const allocation of allAllocations(table)) {
    const total = totalCost(table, allocation);
    const loss = totalLoss(table, allocation);
    const known = best.get(total);
    if (known === undefined || loss < known.loss) {
      best.set(total, { loss, allocations: [allocation] });
    } else if (loss === known.loss) {
      known.allocations.push(allocation);
    }
  }
  return best;
}

export interface RandomTableShape {
  readonly layers: number;
  readonly choices: number;
  /** Losses are integers below 6, so that ties are common and sums exact. */
  readonly withTies?: boolean;
  readonly withCosts?: boolean;
  readonly withBounds?: boolean;
}

/** A table with losses that need not fall with k. */
export function randomTable(shape: RandomTableShape, random: SeededRandom): BudgetTable {
  const layers = Array.from({ length: shape.layers }, (_, layer) => {
    const loss = Array.from({ length: shape.choices }, () =>
      shape.withTies === true ? random.integerBelow(6) : random.uniform() * 10 - 2,
    );
    const cost = Array.from({ length: shape.choices }, (_unused, position) =>
      shape.withCosts === true ? random.integerBelow(12) : position + 1,
    );
    const minimum = shape.withBounds === true ? 1 + random.integerBelow(shape.choices) : 1;
    const maximum =
      shape.withBounds === true ? minimum + random.integerBelow(shape.choices - minimum + 1) : shape.choices;
    return { layer: layer * 2 + 1, loss, cost, minimum, maximum };
  });
  return { layers };
}

/** A falling, slightly noisy table as real layers give it: sensitivity differs between layers, last entry 0. */
export function realisticRows(layers: number, choices: number, random: SeededRandom): number[][] {
  return Array.from({ length: layers }, () => {
    const scale = Math.exp(2 * random.uniform());
    const decay = 0.2 + 0.6 * random.uniform();
    const row = Array.from({ length: choices }, (_, position) => {
      const exact = Math.exp(-decay * (position + 1)) - Math.exp(-decay * choices);
      return scale * exact * (1 + 0.05 * random.uniform());
    });
    row[choices - 1] = 0;
    return row;
  });
}

/** A profile whose raw rows are given. */
export function profileOf(rows: readonly (readonly number[])[]): ProfileResult {
  return {
    checkpoint: '/models/none',
    fingerprint: 'f',
    input: 'gaussian',
    samples: 8192,
    seed: 0,
    activeExperts: rows[0]?.length ?? 0,
    layers: rows.map((raw, position) => ({
      index: position,
      raw: [...raw],
      relativeSquared: raw.map((value) => (value / 2) ** 2),
      outputNorm: 2,
      coefficientOfVariation: 0.005,
    })),
    coefficientOfVariation: 0.005,
    seconds: 1,
    provider: 'cpu',
    resumedLayers: 0,
  };
}

export function sum(values: readonly number[]): number {
  return values.reduce((partial, value) => partial + value, 0);
}
