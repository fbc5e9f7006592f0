/** The smallest factor that a layer may get: an output is made smaller, never turned around. */
const smallestFactor = 0.1;

/** Strengths tried first; the last is left behind only when it is the best of them. */
const firstStrengths = [0, 2, 4] as const;
const largestStrength = 8;

/** A strength and the loss measured with it. */
export interface MeasuredStrength {
  readonly strength: number;
  readonly loss: number;
}

/**
 * A factor on the output of a layer's experts, moved away from 1: `1 + strength (factor - 1)`. Strength 0 is no factor, 1 the factor
 * itself. Factors by least squares make up for what one layer misses on average. Measured end to end, about three to five times their distance
 * from 1 is better: what is missing in all layers together is more than what each misses, given what came before it.
 */
export function strengthened(factor: number, strength: number): number {
  return Math.max(smallestFactor, 1 + strength * (factor - 1));
}

/**
 * The strength with the smallest loss, by four or five measurements: the loss is close to a parabola in the strength, so three points
 * around the smallest give where it is (successive parabolic interpolation, one step; Brent, "Algorithms for Minimization Without
 * Derivatives", 1973, chapter 5).
 * @param measure the loss at a strength
 * @returns the measured strengths, the best first
 */
export async function bestStrength(measure: (strength: number) => Promise<number>): Promise<MeasuredStrength[]> {
  const points: MeasuredStrength[] = [];
  const add = async (strength: number) => {
    points.push({ strength, loss: await measure(strength) });
  };
  for (const strength of firstStrengths) {
    await add(strength);
  }
  if (points.at(-1)!.loss === Math.min(...points.map(({ loss }) => loss))) {
    await add(largestStrength);
  }
  const lowest = points.findIndex(({ loss }) => loss === Math.min(...points.map((point) => point.loss)));
  const middle = Math.min(Math.max(lowest, 1), points.length - 2);
  const vertex = vertexOf(points[middle - 1]!, points[middle]!, points[middle + 1]!);
  if (vertex !== undefined) {
    await add(Number(Math.min(largestStrength, Math.max(0, vertex)).toPrecision(3)));
  }
  return points.sort((left, right) => left.loss - right.loss);
}

/** Where the parabola through three points is lowest; undefined where it is no valley. */
function vertexOf(left: MeasuredStrength, middle: MeasuredStrength, right: MeasuredStrength): number | undefined {
  const [before, after] = [middle.strength - left.strength, middle.strength - right.strength];
  const [fall, rise] = [middle.loss - right.loss, middle.loss - left.loss];
  const curvature = before * fall - after * rise;
  // Negative for a valley, zero for a line.
  if (!(curvature < 0)) {
    return undefined;
  }
  return middle.strength - (before ** 2 * fall - after ** 2 * rise) / (2 * curvature);
}
