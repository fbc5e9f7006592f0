import type { CompensationFactor } from './hessian';
import { emptyQuantized, type Matrix, type QuantizedMatrix, type RoundingFormat } from './quantizedMatrix';
import { nearestCode } from './roundToNearest';
import { searchLevels } from './scaleSearch';

/** Rows that are worked on together, so that a row of the factor is read from memory once for all of them. */
const rowsAtOnce = 16;

/**
 * GPTQ (Frantar et al. 2022, arXiv 2210.17323, algorithm 1): columns are rounded one after the other, and the error of each is
 * made up for by the columns that are still to come,
 *
 *     e = (w_j - q_j) / U_jj,   w_{j+1:} -= e · U_{j,j+1:},   H⁻¹ = Uᵀ U.
 *
 * The levels of a group are chosen when its first column is reached, from the weights as compensated by then, and by the error that
 * counts there: (w_j - q_j)² / U_jj².
 */
export function compensatedRounding(
  { values, rows, columns }: Matrix,
  format: RoundingFormat,
  { upper, dead }: CompensationFactor,
): QuantizedMatrix {
  const result = emptyQuantized(rows, columns, format);
  const { group, bits, symmetric } = format;
  const groups = columns / group;
  const top = 2 ** bits - 1;
  const diagonal = Float64Array.from({ length: columns }, (_, at) => upper[at * columns + at]!);
  const importance = diagonal.map((value) => 1 / (value * value));
  const work = new Float32Array(rowsAtOnce * columns);
  for (let first = 0; first < rows; first += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - first);
    work.set(values.subarray(first * columns, (first + count) * columns));
    clearDead(work, columns, dead);
    for (let column = 0; column < columns; column += 1) {
      const groupOf = Math.floor(column / group);
      for (let row = 0; row < count; row += 1) {
        const place = row * columns;
        const inGroup = (first + row) * groups + groupOf;
        if (column % group === 0) {
          const levels = searchLevels(work, place + column, group, bits, symmetric, importance, column);
          result.scales[inGroup] = levels.scale;
          if (result.zeroPoints !== undefined) {
            result.zeroPoints[inGroup] = levels.zero;
          }
        }
        const scale = result.scales[inGroup]!;
        const zero = result.zeroPoints?.[inGroup] ?? (top + 1) / 2;
        const weight = work[place + column]!;
        const code = nearestCode(weight / scale + zero, top);
        result.codes[(first + row) * columns + column] = code;
        const error = (weight - (code - zero) * scale) / diagonal[column]!;
        for (let later = column + 1, at = column * columns + column + 1; later < columns; later += 1, at += 1) {
          work[place + later]! -= error * upper[at]!;
        }
      }
    }
  }
  return result;
}

function clearDead(work: Float32Array, columns: number, dead: Uint8Array): void {
  for (let column = 0; column < columns; column += 1) {
    if (dead[column] === 1) {
      for (let at = column; at < work.length; at += columns) {
        work[at] = 0;
      }
    }
  }
}
