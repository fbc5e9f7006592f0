/**
 * The permutation of largest total similarity, as shortest augmenting paths with dual prices (Jonker and Volgenant, "A shortest
 * augmenting path algorithm for dense and sparse linear assignment problems", Computing 38, 1987, without its initial heuristics
 * beyond the reduction of columns). O(n³); ties go to the lower column, so the result does not depend on anything but the numbers.
 * @param similarity `[size, size]`, row-major, finite
 * @returns for every row the column it is paired with
 */
export function bestAssignment(similarity: Float32Array | Float64Array, size: number): Int32Array {
  const columnOfRow = new Int32Array(size).fill(-1);
  const rowOfColumn = new Int32Array(size).fill(-1);
  const price = new Float64Array(size);
  reduceColumns(similarity, size, price, columnOfRow, rowOfColumn);

  const distance = new Float64Array(size);
  const previousRow = new Int32Array(size);
  const settled = new Uint8Array(size);
  for (let start = 0; start < size; start += 1) {
    if (columnOfRow[start] !== -1) {
      continue;
    }
    settled.fill(0);
    distance.fill(Infinity);
    let row = start;
    let base = 0;
    let column = -1;
    // Dijkstra over reduced costs from the free row until a free column is the nearest.
    for (;;) {
      const own = column === -1 ? 0 : reduced(similarity, size, price, row, column);
      let nearest = -1;
      let least = Infinity;
      const offset = row * size;
      for (let candidate = 0; candidate < size; candidate += 1) {
        if (settled[candidate] === 1) {
          continue;
        }
        const through = base - similarity[offset + candidate]! - price[candidate]! - own;
        if (through < distance[candidate]!) {
          distance[candidate] = through;
          previousRow[candidate] = row;
        }
        if (distance[candidate]! < least) {
          least = distance[candidate]!;
          nearest = candidate;
        }
      }
      column = nearest;
      base = least;
      settled[column] = 1;
      if (rowOfColumn[column] === -1) {
        break;
      }
      row = rowOfColumn[column]!;
    }
    for (let at = 0; at < size; at += 1) {
      if (settled[at] === 1) {
        price[at]! += distance[at]! - base;
      }
    }
    augment(start, column, previousRow, columnOfRow, rowOfColumn);
  }
  return columnOfRow;
}

/** Cost of a pair less the price of its column. */
function reduced(
  similarity: Float32Array | Float64Array,
  size: number,
  price: Float64Array,
  row: number,
  column: number,
): number {
  return -similarity[row * size + column]! - price[column]!;
}

/** Starting prices: the least cost of every column; each free row that attains one of them takes it. */
function reduceColumns(
  similarity: Float32Array | Float64Array,
  size: number,
  price: Float64Array,
  columnOfRow: Int32Array,
  rowOfColumn: Int32Array,
): void {
  const bestRow = new Int32Array(size);
  price.fill(Infinity);
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) {
      const cost = -similarity[row * size + column]!;
      if (cost < price[column]!) {
        price[column] = cost;
        bestRow[column] = row;
      }
    }
  }
  for (let column = 0; column < size; column += 1) {
    const row = bestRow[column]!;
    if (columnOfRow[row] === -1) {
      columnOfRow[row] = column;
      rowOfColumn[column] = row;
    }
  }
}

/** Swaps the pairs along the path that ends in a free column. */
function augment(
  start: number,
  end: number,
  previousRow: Int32Array,
  columnOfRow: Int32Array,
  rowOfColumn: Int32Array,
): void {
  let column = end;
  for (;;) {
    const row = previousRow[column]!;
    const next = columnOfRow[row]!;
    columnOfRow[row] = column;
    rowOfColumn[column] = row;
    if (row === start) {
      return;
    }
    column = next;
  }
}
