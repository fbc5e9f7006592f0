import type { ExpertRow } from './expertModel';

/** The experts a layer keeps after a gesture. */
export interface KeptChange {
  readonly position: number;
  readonly keep: number[];
}

type Row = Pick<ExpertRow, 'position' | 'experts' | 'least' | 'kept' | 'scores'>;

function inOrder(experts: Iterable<number>): number[] {
  return [...experts].sort((one, other) => one - other);
}

function changesBy(rows: readonly Row[], keepOf: (row: Row) => number[]): KeptChange[] {
  return rows.flatMap((row) => {
    const keep = inOrder(keepOf(row));
    const same = keep.length === row.kept.size && keep.every((expert) => row.kept.has(expert));
    return same || keep.length < row.least ? [] : [{ position: row.position, keep }];
  });
}

/**
 * Keeps or prunes some cells, counted row by row over `columns`. A layer never loses so many experts that fewer stay than are active
 * per token: such a layer is left as it is.
 */
export function setCells(rows: readonly Row[], cells: Iterable<number>, columns: number, kept: boolean): KeptChange[] {
  const byRow = new Map<number, Set<number>>();
  for (const cell of cells) {
    const position = Math.floor(cell / columns);
    byRow.set(position, (byRow.get(position) ?? new Set()).add(cell % columns));
  }
  return changesBy(
    rows.filter(({ position }) => byRow.has(position)),
    (row) => {
      const chosen = inOrder(byRow.get(row.position) ?? []).filter((expert) => expert < row.experts);
      return kept ? [...new Set([...row.kept, ...chosen])] : [...row.kept].filter((expert) => !chosen.includes(expert));
    },
  );
}

/** The experts of a layer from the highest to the lowest score; of equal ones the first in number. */
function ranked({ scores = [], experts }: Row): number[] {
  return Array.from({ length: experts }, (_, expert) => expert).sort(
    (one, other) => (scores[other] ?? 0) - (scores[one] ?? 0) || one - other,
  );
}

/** Prunes the same share of every layer, lowest score first. Layers without scores are left alone. */
export function pruneByRatio(rows: readonly Row[], ratio: number): KeptChange[] {
  return changesBy(
    rows.filter(({ scores }) => scores !== undefined),
    (row) => ranked(row).slice(0, Math.max(row.least, row.experts - Math.floor(row.experts * ratio))),
  );
}

/** Prunes every expert with a lower score, as long as enough stay. */
export function pruneByThreshold(rows: readonly Row[], threshold: number): KeptChange[] {
  return changesBy(
    rows.filter(({ scores }) => scores !== undefined),
    (row) => {
      const order = ranked(row);
      const above = order.filter((expert) => (row.scores?.[expert] ?? 0) >= threshold).length;
      return order.slice(0, Math.max(row.least, above));
    },
  );
}
