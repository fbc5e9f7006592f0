/**
 * Lower triangular L with L Lᵀ = A, in place of the lower triangle (Cholesky, row by row).
 * @param matrix `[size, size]`, symmetric positive definite
 * @returns false where the matrix is not positive definite in float64; its content is then undefined
 */
export function cholesky(matrix: Float64Array, size: number): boolean {
  for (let row = 0; row < size; row += 1) {
    const rowStart = row * size;
    for (let column = 0; column <= row; column += 1) {
      const columnStart = column * size;
      let sum = matrix[rowStart + column]!;
      for (let at = 0; at < column; at += 1) {
        sum -= matrix[rowStart + at]! * matrix[columnStart + at]!;
      }
      if (column < row) {
        matrix[rowStart + column] = sum / matrix[columnStart + column]!;
      } else if (sum > 0 && Number.isFinite(sum)) {
        matrix[rowStart + row] = Math.sqrt(sum);
      } else {
        return false;
      }
    }
  }
  return true;
}

/**
 * Inverse of L Lᵀ, `[size, size]`: by the inverse of L, so that many right-hand sides become one matrix product.
 * @param lower the triangle that {@link cholesky} left; entries above the diagonal are not read
 */
export function inverseFromCholesky(lower: Float64Array, size: number): Float64Array {
  // Row r of `columns` holds column r of the inverse of L: contiguous in both inner loops.
  const columns = new Float64Array(size * size);
  for (let column = 0; column < size; column += 1) {
    const start = column * size;
    columns[start + column] = 1 / lower[start + column]!;
    for (let row = column + 1; row < size; row += 1) {
      let sum = 0;
      for (let at = column; at < row; at += 1) {
        sum -= lower[row * size + at]! * columns[start + at]!;
      }
      columns[start + row] = sum / lower[row * size + row]!;
    }
  }
  const inverse = new Float64Array(size * size);
  for (let first = 0; first < size; first += 1) {
    for (let second = first; second < size; second += 1) {
      let sum = 0;
      for (let at = second; at < size; at += 1) {
        sum += columns[first * size + at]! * columns[second * size + at]!;
      }
      inverse[first * size + second] = sum;
      inverse[second * size + first] = sum;
    }
  }
  return inverse;
}
