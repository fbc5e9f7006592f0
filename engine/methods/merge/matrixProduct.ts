/**
 * a · bᵀ for row-major `a [rows, inner]` and `b [columns, inner]`: `[rows, columns]`. Methods are given one, because fast products
 * belong to the runtime.
 */
export type MatrixProduct = (
  a: Float32Array,
  b: Float32Array,
  rows: number,
  inner: number,
  columns: number,
) => Promise<Float32Array>;

/** The product by definition, summed in float64: for small matrices and as the measure of faster ones. */
export const plainProduct: MatrixProduct = (a, b, rows, inner, columns) => {
  const result = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      let sum = 0;
      for (let at = 0; at < inner; at += 1) {
        sum += a[row * inner + at]! * b[column * inner + at]!;
      }
      result[row * columns + column] = sum;
    }
  }
  return Promise.resolve(result);
};

/** `[rows, columns]` → `[columns, rows]`. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      result[column * rows + row] = values[row * columns + column]!;
    }
  }
  return result;
}
