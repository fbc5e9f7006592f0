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

/** What {@link storedBits} adds up to, in words: 4 + 16/32 + 4/32 = 4.625. */
export function bitsArithmetic(averageBits: number, group: number, symmetric: boolean): string {
  const zero = symmetric ? '' : ` + ${short(averageBits)}/${group} (zero points)`;
  const total = averageBits + (scaleBits + (symmetric ? 0 : averageBits)) / group;
  return `${short(averageBits)} (codes) + ${scaleBits}/${group} (scales)${zero} = ${short(total)} bits a weight`;
}

function short(value: number): string {
  return Number(value.toFixed(4)).toString();
}
