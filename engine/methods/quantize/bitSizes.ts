/** Bits of a stored scale. */
export const scaleBits = 16;

/** Weights of one size and how they are rounded. */
export interface SizedWeights {
  readonly weights: number;
  readonly bits: number;
  readonly group: number;
  readonly symmetric: boolean;
}

/** Bits that rounded weights take: codes, one scale a group, and one zero point of as many bits as a code where codes are not centred. */
export function storedBits({ weights, bits, group, symmetric }: SizedWeights): number {
  return weights * bits + (weights / group) * (scaleBits + (symmetric ? 0 : bits));
}

/** Sums over rounded weights, in bits of storage. */
export interface BitTotals {
  readonly weights: number;
  readonly codeBits: number;
  readonly scaleBits: number;
  readonly zeroPointBits: number;
}

/** The parts of {@link storedBits}. */
export function bitParts({ weights, bits, group, symmetric }: SizedWeights): BitTotals {
  const groups = weights / group;
  return {
    weights,
    codeBits: weights * bits,
    scaleBits: groups * scaleBits,
    zeroPointBits: symmetric ? 0 : groups * bits,
  };
}

/** Codes, scales and zero points together. */
export function allBits(totals: BitTotals): number {
  return totals.codeBits + totals.scaleBits + totals.zeroPointBits;
}

/** Bits a weight of everything that is stored, in words: 4 (codes) + 0.5 (scales) + 0.125 (zero points) = 4.625. */
export function bitsArithmetic(totals: BitTotals): string {
  const { weights, codeBits, scaleBits: scales, zeroPointBits } = totals;
  const zero = zeroPointBits === 0 ? '' : ` + ${short(zeroPointBits / weights)} (zero points)`;
  const parts = `${short(codeBits / weights)} (codes) + ${short(scales / weights)} (scales)${zero}`;
  return `${parts} = ${short(allBits(totals) / weights)} bits a weight`;
}

function short(value: number): string {
  return Number(value.toFixed(4)).toString();
}
