import { dequantize, roundScale, type Matrix, type QuantizedMatrix } from './quantizedMatrix';
import { roundToNearest } from './roundToNearest';

/** Bits of the innermost level. */
export const innermostBits = 2;

/** One more bit of every weight: its sign of what is left, and how much that is worth, per group. */
export interface BitPlane {
  readonly signs: Int8Array;
  readonly scales: Float32Array;
}

/** Codes of few bits and planes that refine them: a reader takes as many planes as it has room for. */
export interface NestedMatrix {
  readonly base: QuantizedMatrix;
  readonly planes: readonly BitPlane[];
}

/**
 * Nested (matryoshka) codes of D²MoE (arXiv 2504.15299, section 4, "matryoshka weight quantization"): asymmetric groups of 2 bits, then
 * one sign per weight and further bit, R = W - Ŵ, s = mean|R| per group, Ŵ ← Ŵ + s · sign(R). With this s each plane takes n · s² off
 * the squared error of its group, so no plane makes a matrix worse (up to the rounding of s to 16 bits).
 */
export function nestedRounding(matrix: Matrix, group: number, planes: number): NestedMatrix {
  const base = roundToNearest(matrix, { bits: innermostBits, group, symmetric: false });
  const rest = dequantize(base);
  for (let at = 0; at < rest.length; at += 1) {
    rest[at] = matrix.values[at]! - rest[at]!;
  }
  return { base, planes: Array.from({ length: planes }, () => nextPlane(rest, group)) };
}

/** Takes one plane off what is left of the weights. */
function nextPlane(rest: Float32Array, group: number): BitPlane {
  const signs = new Int8Array(rest.length);
  const scales = new Float32Array(rest.length / group);
  for (let inGroup = 0; inGroup < scales.length; inGroup += 1) {
    const end = (inGroup + 1) * group;
    let sum = 0;
    for (let at = end - group; at < end; at += 1) {
      sum += Math.abs(rest[at]!);
    }
    const scale = sum === 0 ? 0 : roundScale(sum / group);
    scales[inGroup] = scale;
    for (let at = end - group; at < end; at += 1) {
      signs[at] = rest[at]! < 0 ? -1 : 1;
      rest[at]! -= signs[at]! * scale;
    }
  }
  return { signs, scales };
}

/** The weights at one level: the base alone with 0 planes. */
export function nestedValues({ base, planes }: NestedMatrix, used: number): Float32Array {
  const values = dequantize(base);
  for (const { signs, scales } of planes.slice(0, used)) {
    for (let at = 0; at < values.length; at += 1) {
      values[at]! += signs[at]! * scales[Math.floor(at / base.group)]!;
    }
  }
  return values;
}
