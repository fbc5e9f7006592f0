import { SeededRandom } from '../../numeric/seededRandom';
import { transposed, type MatrixProduct } from './matrixProduct';

/** Rounds of orthogonal iteration; each squares the ratio of neighbouring singular values. */
const iterations = 12;

/** Rank whose two factors hold a share of the parameters of a matrix (MC-SMoE's ⌈ratio · H W / (H + W)⌉). */
export function rankOfShare(share: number, rows: number, columns: number): number {
  return Math.min(Math.ceil((share * rows * columns) / (rows + columns)), rows, columns);
}

/**
 * MC-SMoE's compression of a merged matrix (arXiv 2310.01334, §3.3): W ≈ U V + S with a truncated singular value decomposition and a
 * residual of which whole rows stay. The paper chooses rows by gradients while it trains; without training the rows with the largest
 * residual stay, which is the best choice for the error of the matrix.
 * @param rank of U V; the matrix itself comes back where it is not smaller than both sides
 * @param sparse share of the rows of the residual that stay
 * @returns U V + S as one dense matrix `[rows, columns]`
 */
export async function lowRankAndSparse(
  matrix: Float32Array,
  rows: number,
  columns: number,
  rank: number,
  sparse: number,
  product: MatrixProduct,
): Promise<Float32Array> {
  if (rank >= Math.min(rows, columns)) {
    return matrix;
  }
  const approximated =
    rows <= columns
      ? await projected(matrix, rows, columns, rank, product)
      : transposed(await projected(transposed(matrix, rows, columns), columns, rows, rank, product), columns, rows);
  const errors = Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let at = row * columns; at < (row + 1) * columns; at += 1) {
      sum += (matrix[at]! - approximated[at]!) ** 2;
    }
    return { row, sum };
  });
  errors.sort((left, right) => right.sum - left.sum || left.row - right.row);
  for (const { row } of errors.slice(0, Math.ceil(sparse * rows))) {
    approximated.set(matrix.subarray(row * columns, (row + 1) * columns), row * columns);
  }
  return approximated;
}

/** Q Qᵀ A for an orthonormal basis Q of the leading left singular vectors: the truncated decomposition multiplied out. */
async function projected(
  matrix: Float32Array,
  rows: number,
  columns: number,
  rank: number,
  product: MatrixProduct,
): Promise<Float32Array> {
  const gram = await product(matrix, matrix, rows, columns, rows);
  const random = new SeededRandom(rank);
  // Rows of `basis` are the columns of Q.
  let basis = orthonormalRows(
    Float32Array.from({ length: rank * rows }, () => random.uniform() - 0.5),
    rank,
    rows,
  );
  for (let round = 0; round < iterations; round += 1) {
    basis = orthonormalRows(await product(basis, gram, rank, rows, rows), rank, rows);
  }
  const coefficients = await product(basis, transposed(matrix, rows, columns), rank, rows, columns);
  return product(transposed(basis, rank, rows), transposed(coefficients, rank, columns), rows, rank, columns);
}

/** Rows made orthonormal in order (modified Gram-Schmidt, twice against rounding); rows without a direction of their own become zero. */
function orthonormalRows(values: Float32Array, count: number, size: number): Float32Array {
  const result = Float64Array.from(values);
  for (let row = 0; row < count; row += 1) {
    const own = result.subarray(row * size, (row + 1) * size);
    const length = norm(own);
    for (let pass = 0; pass < 2; pass += 1) {
      for (let earlier = 0; earlier < row; earlier += 1) {
        const other = result.subarray(earlier * size, (earlier + 1) * size);
        let dot = 0;
        for (let at = 0; at < size; at += 1) {
          dot += own[at]! * other[at]!;
        }
        for (let at = 0; at < size; at += 1) {
          own[at]! -= dot * other[at]!;
        }
      }
    }
    const rest = norm(own);
    const factor = rest > 1e-6 * length ? 1 / rest : 0;
    for (let at = 0; at < size; at += 1) {
      own[at]! *= factor;
    }
  }
  return Float32Array.from(result);
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
