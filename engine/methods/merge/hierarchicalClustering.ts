/** How the distance between two clusters follows from those of their members. */
export const linkageNames = ['average', 'single', 'complete'] as const;

export type Linkage = (typeof linkageNames)[number];

/**
 * Agglomerative clustering (HC-SMoE, arXiv 2410.08589, §3.2): the two nearest clusters become one until `count` are left. Ties go to
 * the pair with the smallest members, so the result depends on nothing but the distances.
 * @param distances `[size, size]`, symmetric
 * @param count clusters to leave, from 1 to size
 * @returns members of every cluster ascending, clusters by their smallest member
 */
export function hierarchicalClusters(
  distances: Float64Array,
  size: number,
  count: number,
  linkage: Linkage = 'average',
): number[][] {
  const between = Float64Array.from(distances);
  const members: (number[] | undefined)[] = Array.from({ length: size }, (_, item) => [item]);
  for (let left = size; left > count; left -= 1) {
    const [first, second] = nearestPair(between, members, size);
    for (let other = 0; other < size; other += 1) {
      if (members[other] === undefined || other === first || other === second) {
        continue;
      }
      const joined = join(
        linkage,
        between[first * size + other]!,
        between[second * size + other]!,
        members[first]!.length,
        members[second]!.length,
      );
      between[first * size + other] = joined;
      between[other * size + first] = joined;
    }
    members[first] = [...members[first]!, ...members[second]!].sort((a, b) => a - b);
    members[second] = undefined;
  }
  return members.filter((cluster) => cluster !== undefined);
}

/** Lance and Williams' update: the distance of a joined cluster to a third one. */
function join(linkage: Linkage, first: number, second: number, firstSize: number, secondSize: number): number {
  switch (linkage) {
    case 'average':
      return (firstSize * first + secondSize * second) / (firstSize + secondSize);
    case 'single':
      return Math.min(first, second);
    case 'complete':
      return Math.max(first, second);
  }
}

function nearestPair(
  between: Float64Array,
  members: readonly (number[] | undefined)[],
  size: number,
): [number, number] {
  let nearest: [number, number] = [-1, -1];
  let least = Infinity;
  for (let first = 0; first < size; first += 1) {
    if (members[first] === undefined) {
      continue;
    }
    for (let second = first + 1; second < size; second += 1) {
      if (members[second] !== undefined && (between[first * size + second]! < least || nearest[0] === -1)) {
        least = between[first * size + second]!;
        nearest = [first, second];
      }
    }
  }
  return nearest;
}

/** Euclidean distances of the rows of a matrix `[size, width]`. */
export function rowDistances(rows: Float32Array, size: number, width: number): Float64Array {
  const distances = new Float64Array(size * size);
  for (let first = 0; first < size; first += 1) {
    for (let second = first + 1; second < size; second += 1) {
      let sum = 0;
      for (let at = 0; at < width; at += 1) {
        sum += (rows[first * width + at]! - rows[second * width + at]!) ** 2;
      }
      distances[first * size + second] = Math.sqrt(sum);
      distances[second * size + first] = Math.sqrt(sum);
    }
  }
  return distances;
}

/** Cosines of columns from the sums of their products `[size, size]`; 0 where a column is zero. */
export function cosinesOf(products: Float64Array, size: number): Float64Array {
  return Float64Array.from(products, (product, at) => {
    const [first, second] = [Math.floor(at / size), at % size];
    const norms = Math.sqrt(products[first * (size + 1)]! * products[second * (size + 1)]!);
    return norms > 0 ? product / norms : 0;
  });
}
