/**
 * Spearman's rank correlation of two lists of the same length, ties sharing their mean rank.
 * @returns null for fewer than three values or when a list is constant
 */
export function rankCorrelation(left: readonly number[], right: readonly number[]): number | null {
  if (left.length < 3) {
    return null;
  }
  const [a, b] = [ranks(left), ranks(right)];
  const mean = (left.length + 1) / 2;
  let [both, first, second] = [0, 0, 0];
  for (let at = 0; at < a.length; at += 1) {
    both += (a[at]! - mean) * (b[at]! - mean);
    first += (a[at]! - mean) ** 2;
    second += (b[at]! - mean) ** 2;
  }
  return first === 0 || second === 0 ? null : both / Math.sqrt(first * second);
}

function ranks(values: readonly number[]): number[] {
  const order = values.map((_, at) => at).sort((x, y) => values[x]! - values[y]!);
  const result = new Array<number>(values.length).fill(0);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && values[order[end]!] === values[order[start]!]) {
      end += 1;
    }
    for (let at = start; at < end; at += 1) {
      result[order[at]!] = (start + 1 + end) / 2;
    }
    start = end;
  }
  return result;
}
