/**
 * Agglomerative clustering with complete linkage: the two clusters whose most distant members are nearest are joined, until `clusters`
 * are left. Of equal distances the pair of lowest indices is joined.
 *
 * @param distances symmetric `[items, items]`
 * @param mayJoin whether an item may be in a cluster with others; by default all may
 * @returns clusters with ascending members, in the order of their first members
 */
export function completeLinkage(
  distances: ArrayLike<number>,
  items: number,
  clusters: number,
  mayJoin: (left: number, right: number) => boolean = () => true,
): number[][] {
  const between = Float64Array.from({ length: items * items }, (_, at) =>
    mayJoin(Math.floor(at / items), at % items) ? distances[at]! : Infinity,
  );
  const members = new Map(Array.from({ length: items }, (_, item): [number, number[]] => [item, [item]]));
  while (members.size > clusters) {
    let best: { distance: number; left: number; right: number } | undefined;
    for (const left of members.keys()) {
      for (const right of members.keys()) {
        const distance = between[left * items + right]!;
        if (left < right && distance < (best?.distance ?? Infinity)) {
          best = { distance, left, right };
        }
      }
    }
    if (best === undefined) {
      break;
    }
    const { left, right } = best;
    members.set(left, [...members.get(left)!, ...members.get(right)!]);
    members.delete(right);
    for (const other of members.keys()) {
      const farthest = Math.max(between[left * items + other]!, between[right * items + other]!);
      between[left * items + other] = farthest;
      between[other * items + left] = farthest;
    }
  }
  return [...members.values()].map((cluster) => cluster.sort((left, right) => left - right));
}
