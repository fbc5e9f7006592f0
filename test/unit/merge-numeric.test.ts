import { describe, expect, it } from 'vitest';
import { bestAssignment } from '../../engine/methods/merge/assignment';
import { hierarchicalClusters, rowDistances } from '../../engine/methods/merge/hierarchicalClustering';
import { cholesky, inverseFromCholesky } from '../../engine/methods/merge/leastSquares';
import { lowRankAndSparse, rankOfShare } from '../../engine/methods/merge/lowRank';
import { plainProduct, transposed } from '../../engine/methods/merge/matrixProduct';
import { refitDown, type RefitSamples } from '../../engine/methods/merge/refitDown';
import { SeededRandom } from '../../engine/numeric/seededRandom';

function values(seed: number, length: number): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length }, () => random.uniform() * 2 - 1);
}

function shuffled(seed: number, length: number): number[] {
  const random = new SeededRandom(seed);
  const order = Array.from({ length }, (_, at) => at);
  for (let at = length - 1; at > 0; at -= 1) {
    const other = random.integerBelow(at + 1);
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  return order;
}

function permutations(size: number): number[][] {
  return size === 0
    ? [[]]
    : permutations(size - 1).flatMap((rest) =>
        Array.from({ length: size }, (_, at) => [...rest.slice(0, at), size - 1, ...rest.slice(at)]),
      );
}

function sumOfSquares(numbers: ArrayLike<number>): number {
  return Array.from(numbers).reduce((sum, value) => sum + value * value, 0);
}

describe('assignment', () => {
  const total = (similarity: Float32Array, size: number, columns: ArrayLike<number>) =>
    Array.from({ length: size }, (_, row) => similarity[row * size + columns[row]!]!).reduce((a, b) => a + b, 0);

  it('finds the best of all permutations', () => {
    for (let seed = 0; seed < 60; seed += 1) {
      const size = 1 + (seed % 6);
      // Every third case has many ties.
      const similarity = values(seed, size * size).map((value) => (seed % 3 === 0 ? Math.round(value * 2) : value));
      const best = Math.max(...permutations(size).map((columns) => total(similarity, size, columns)));
      const found = bestAssignment(similarity, size);
      expect(new Set(found).size).toBe(size);
      expect(total(similarity, size, found)).toBeCloseTo(best, 5);
    }
  });

  it('recovers a permutation of random rows', () => {
    const [size, width] = [120, 40];
    const rows = values(1, size * width);
    const order = shuffled(2, size);
    const other = new Float32Array(rows.length);
    order.forEach((from, to) => {
      other.set(rows.subarray(from * width, (from + 1) * width), to * width);
    });
    return plainProduct(rows, other, size, width, size).then((similarity) => {
      const found = bestAssignment(similarity, size);
      expect(order.every((from, to) => found[from] === to)).toBe(true);
    });
  });
});

describe('hierarchical clustering', () => {
  /** Average linkage by definition: mean distance over all pairs of members, recomputed for every step. */
  function bruteForce(distances: Float64Array, size: number, count: number): number[][] {
    let clusters = Array.from({ length: size }, (_, item) => [item]);
    while (clusters.length > count) {
      let best = { first: 0, second: 1, distance: Infinity };
      clusters.forEach((left, first) => {
        clusters.forEach((right, second) => {
          const pairs = left.flatMap((a) => right.map((b) => distances[a * size + b]!));
          const distance = pairs.reduce((sum, value) => sum + value, 0) / pairs.length;
          if (first < second && distance < best.distance - 1e-12) {
            best = { first, second, distance };
          }
        });
      });
      const joined = [...clusters[best.first]!, ...clusters[best.second]!].sort((a, b) => a - b);
      clusters = clusters.flatMap((cluster, at) =>
        at === best.first ? [joined] : at === best.second ? [] : [cluster],
      );
    }
    return clusters;
  }

  it('agrees with average linkage by definition at every number of clusters, and cuts are nested', () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const size = 4 + (seed % 9);
      const distances = rowDistances(values(seed, size * 3), size, 3);
      let finer: number[][] | undefined;
      for (let count = size; count >= 1; count -= 1) {
        const clusters = hierarchicalClusters(distances, size, count);
        expect(clusters).toEqual(bruteForce(distances, size, count));
        expect(clusters).toHaveLength(count);
        finer?.forEach((part) => {
          expect(clusters.some((cluster) => part.every((item) => cluster.includes(item)))).toBe(true);
        });
        finer = clusters;
      }
    }
  });

  it('puts equal rows together first and does not mind a translation', () => {
    const [size, width] = [7, 4];
    const rows = values(5, size * width);
    rows.copyWithin(2 * width, 6 * width, 7 * width);
    const clusters = hierarchicalClusters(rowDistances(rows, size, width), size, size - 1);
    expect(clusters).toContainEqual([2, 6]);
    const moved = rows.map((value) => value + 8);
    expect(hierarchicalClusters(rowDistances(moved, size, width), size, 3)).toEqual(
      hierarchicalClusters(rowDistances(rows, size, width), size, 3),
    );
  });
});

describe('least squares', () => {
  it('inverts positive definite matrices and refuses others', async () => {
    const size = 12;
    const random = values(3, size * 20);
    const gram = Float64Array.from(await plainProduct(random, random, size, 20, size));
    const lower = Float64Array.from(gram);
    expect(cholesky(lower, size)).toBe(true);
    const inverse = inverseFromCholesky(lower, size);
    for (let row = 0; row < size; row += 1) {
      for (let column = 0; column < size; column += 1) {
        let sum = 0;
        for (let at = 0; at < size; at += 1) {
          sum += gram[row * size + at]! * inverse[at * size + column]!;
        }
        expect(sum).toBeCloseTo(row === column ? 1 : 0, 6);
      }
    }
    expect(cholesky(Float64Array.of(1, 2, 2, 1), 2)).toBe(false);
  });

  function samples(seed: number, tokens: number, width: number, hiddenSize: number): RefitSamples {
    return {
      tokens,
      width,
      hiddenSize,
      activations: values(seed, tokens * width),
      residual: values(seed + 1, tokens * hiddenSize),
    };
  }

  it('is never worse than no refit on its samples, for few tokens and for many', async () => {
    for (const [tokens, width, ridge] of [
      [5, 8, 0.1],
      [40, 8, 0.1],
      [40, 8, undefined],
      [3, 8, undefined],
      [60, 6, 1e-4],
    ] as const) {
      const refit = await refitDown(samples(tokens, tokens, width, 4), plainProduct, ridge);
      expect(refit.after).toBeLessThanOrEqual(refit.before);
    }
  });

  it('finds the map behind the residual, and nothing where the residual is noise', async () => {
    const [tokens, width, hiddenSize] = [200, 8, 5];
    const map = values(9, hiddenSize * width);
    const activations = values(10, tokens * width);
    const residual = await plainProduct(activations, map, tokens, width, hiddenSize);
    const exact = await refitDown({ tokens, width, hiddenSize, activations, residual }, plainProduct, undefined);
    expect(exact.ridge).toBe(1e-4);
    exact.change!.forEach((value, at) => {
      expect(value).toBeCloseTo(map[at]!, 3);
    });
    const noise = await refitDown(samples(20, 12, 200, hiddenSize), plainProduct, undefined);
    expect(noise.before).toBeGreaterThan(0);
    expect(noise.change === undefined || noise.ridge! >= 0.1).toBe(true);
    const nothing = await refitDown(
      { tokens, width, hiddenSize, activations, residual: new Float32Array(residual.length) },
      plainProduct,
      0.1,
    );
    expect(nothing.change).toBeUndefined();
  });

  it('solves over tokens and over channels alike', async () => {
    // 8 tokens and 7 or 9 channels of which two are zero: the same problem in both forms.
    const [tokens, hiddenSize] = [8, 3];
    const narrow = values(1, tokens * 7);
    const wide = Float32Array.from({ length: tokens * 9 }, (_, at) =>
      at % 9 < 7 ? narrow[Math.floor(at / 9) * 7 + (at % 9)]! : 0,
    );
    const residual = values(2, tokens * hiddenSize);
    const overChannels = await refitDown(
      { tokens, width: 7, hiddenSize, activations: narrow, residual },
      plainProduct,
      0.7,
    );
    const overTokens = await refitDown(
      { tokens, width: 9, hiddenSize, activations: wide, residual },
      plainProduct,
      0.9,
    );
    for (let row = 0; row < hiddenSize; row += 1) {
      for (let column = 0; column < 7; column += 1) {
        expect(overTokens.change![row * 9 + column]).toBeCloseTo(overChannels.change![row * 7 + column]!, 5);
      }
    }
  });
});

describe('low rank and sparse rows', () => {
  /** A matrix with known singular values: two orthogonal bases by reflections. */
  async function known(rows: number, columns: number, singular: (at: number) => number): Promise<Float32Array> {
    const reflection = (seed: number, size: number) => {
      const direction = values(seed, size);
      const norm = sumOfSquares(direction);
      return Float32Array.from({ length: size * size }, (_, at) => {
        const [row, column] = [Math.floor(at / size), at % size];
        return (row === column ? 1 : 0) - (2 * direction[row]! * direction[column]!) / norm;
      });
    };
    const left = reflection(1, rows);
    const middle = Float32Array.from({ length: rows * columns }, (_, at) =>
      Math.floor(at / columns) === at % columns ? singular(at % columns) : 0,
    );
    const scaled = await plainProduct(left, transposed(middle, rows, columns), rows, rows, columns);
    return plainProduct(scaled, reflection(2, columns), rows, columns, columns);
  }

  it('reaches the error of the best approximation, both ways round', async () => {
    for (const [rows, columns] of [
      [18, 30],
      [30, 18],
    ] as const) {
      const matrix = await known(rows, columns, (at) => 2 ** -at);
      const result = await lowRankAndSparse(matrix, rows, columns, 5, 0, plainProduct);
      const error = Math.sqrt(sumOfSquares(matrix.map((value, at) => value - result[at]!)));
      const best = Math.sqrt(sumOfSquares(Array.from({ length: 13 }, (_, at) => 2 ** -(at + 5))));
      expect(error).toBeGreaterThan(best * 0.999);
      expect(error).toBeLessThan(best * 1.01);
    }
  });

  it('is exact at full rank and with all rows of the residual, and better with more rows', async () => {
    const matrix = values(4, 12 * 20);
    expect(await lowRankAndSparse(matrix, 12, 20, 12, 0, plainProduct)).toBe(matrix);
    expect(await lowRankAndSparse(matrix, 12, 20, 2, 1, plainProduct)).toEqual(matrix);
    const error = async (sparse: number) => {
      const result = await lowRankAndSparse(matrix, 12, 20, 3, sparse, plainProduct);
      return sumOfSquares(matrix.map((value, at) => value - result[at]!));
    };
    expect(await error(0.25)).toBeLessThan(await error(0));
    expect(await error(0.5)).toBeLessThan(await error(0.25));
  });

  it('counts the parameters of both factors', () => {
    const rank = rankOfShare(0.25, 256, 80);
    expect(rank * (256 + 80)).toBeGreaterThanOrEqual(0.25 * 256 * 80);
    expect((rank - 1) * (256 + 80)).toBeLessThan(0.25 * 256 * 80);
    expect(rankOfShare(1, 4, 400)).toBe(4);
  });
});
