import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';

/** ‖W_r,e‖: norm of an expert's row of the router; one of the cheap criteria of MC-Suite (arXiv 2504.05586). */
export const routerNorm: PruneMethodOf<'weights'> = {
  name: 'router-norm',
  title: 'Router norm',
  explanation: 'Needs no text: keeps the experts with the largest router rows.',
  source: 'MC-Suite, arXiv 2504.05586',
  needs: 'weights',
  rank: async (layer) => ranking(rowNorms(await layer.routerRows(), layer.experts)),
};

/** Euclidean norm of every row of `[rows, columns]`. */
export function rowNorms(values: Float32Array, rows: number): number[] {
  const columns = values.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    let squares = 0;
    for (let at = row * columns; at < (row + 1) * columns; at += 1) {
      squares += values[at]! * values[at]!;
    }
    return Math.sqrt(squares);
  });
}
