/** Bits that weights can be rounded to; 16 leaves them as they are. */
export const codeBits = [2, 3, 4, 5, 6, 8] as const;

/**
 * Bits that a budget is spent on. Codes of 5 and 6 bits are stored in 8 by every format but the k-quants of GGUF, so they are only taken
 * where they are asked for.
 */
export const allocatedBits = [2, 3, 4, 8] as const;

export type CodeBits = (typeof codeBits)[number];

/** Bits that codes are stored in: graphs read 2, 4 and 8 only. Where they are more than the codes use, zero points say so. */
export const storedWidths: Readonly<Record<CodeBits, 2 | 4 | 8>> = { 2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 8: 8 };

/** How a matrix is to be rounded. */
export interface RoundingFormat {
  readonly bits: CodeBits;
  /** Consecutive weights of a row that share a scale. */
  readonly group: number;
  /** Whether codes are centred on zero; otherwise every scale has a zero point. */
  readonly symmetric: boolean;
}

/** A row-major matrix `[rows, columns]`; columns are the inputs of the linear map. */
export interface Matrix {
  readonly values: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/**
 * A rounded matrix: weight = (code - zero point) · scale of its group. Codes are unsigned, one byte each, `[rows, columns]`;
 * scales and zero points are `[rows, columns / group]`. Without zero points the code 2^(bits - 1) is zero.
 */
export interface QuantizedMatrix extends RoundingFormat {
  readonly rows: number;
  readonly columns: number;
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints?: Uint8Array | undefined;
}

/** Room for a rounded matrix. `columns` must be a multiple of the group. */
export function emptyQuantized(rows: number, columns: number, format: RoundingFormat): QuantizedMatrix {
  const groups = (rows * columns) / format.group;
  return {
    bits: format.bits,
    group: format.group,
    symmetric: format.symmetric,
    rows,
    columns,
    codes: new Uint8Array(rows * columns),
    scales: new Float32Array(groups),
    ...(format.symmetric ? {} : { zeroPoints: new Uint8Array(groups) }),
  };
}

/** The weights that a rounded matrix stands for, `[rows, columns]`. */
export function dequantize(matrix: QuantizedMatrix): Float32Array {
  const { codes, scales, zeroPoints, group } = matrix;
  const middle = 2 ** (matrix.bits - 1);
  const values = new Float32Array(codes.length);
  for (let at = 0, inGroup = 0; at < codes.length; inGroup += 1) {
    const scale = scales[inGroup]!;
    const zero = zeroPoints === undefined ? middle : zeroPoints[inGroup]!;
    for (const end = at + group; at < end; at += 1) {
      values[at] = (codes[at]! - zero) * scale;
    }
  }
  return values;
}

const floatView = new Float32Array(1);
const bitView = new Uint32Array(floatView.buffer);

/** Exponents of the smallest normal and largest float16, and its stored significand bits. */
const [leastExponent, mostExponent, significandBits] = [-14, 15, 10];
/** Largest float16. */
export const largestScale = 65504;

/**
 * The nearest float16 of a positive number, ties to even, never zero. Targets store scales in 16 bits, so they are rounded before the
 * codes are chosen: what is measured is what runs.
 */
export function roundScale(scale: number): number {
  floatView[0] = scale;
  const bits = bitView[0]!;
  const exponent = (bits >>> 23) - 127;
  if (exponent >= mostExponent) {
    return Math.min(largestScale, wholeSteps(scale, exponent));
  }
  if (exponent < leastExponent) {
    return wholeSteps(scale, leastExponent);
  }
  // Of the 23 stored bits of a float32 a float16 keeps 10.
  bitView[0] = (bits + 0xfff + ((bits >>> 13) & 1)) & 0xffffe000;
  return floatView[0];
}

/** The nearest multiple of the spacing of float16 at an exponent, at least one. */
function wholeSteps(scale: number, exponent: number): number {
  const step = 2 ** (exponent - significandBits);
  const steps = scale / step;
  const below = Math.floor(steps);
  const rest = steps - below;
  const rounded = rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
  return Math.max(1, rounded) * step;
}
