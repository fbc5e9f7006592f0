import type { PlanQuantize } from '../../engine/protocol/plan';
import { text } from '../strings';
import { formatDecimals } from '../ui-kit/numbers';
import type { Explanation } from './explanation';

export const projections = ['gate', 'up', 'down'] as const;
export type Projection = (typeof projections)[number];

/** Bits that a gesture gives; 16 leaves the weights as they are. */
export const offeredBits = [2, 3, 4, 8, 16] as const;

/** Bits of a stored scale. */
const scaleBits = 16;

/** Bits of one projection of one layer, one number per expert where they differ. */
export type ProjectionBits = number | readonly number[];

/** The bits of one layer by projection; undefined where the layer has no such projection listed. */
export function layerBits(
  layer: PlanQuantize['layers'][number] | undefined,
  projection: Projection,
): ProjectionBits | undefined {
  return typeof layer === 'object' ? layer[projection] : layer;
}

export function meanBits(bits: ProjectionBits): number {
  return typeof bits === 'number' ? bits : bits.reduce((sum, each) => sum + each, 0) / Math.max(1, bits.length);
}

function short(value: number): string {
  return String(Number(value.toFixed(3)));
}

/** Bits as the table writes them: one number, or the mean and the range over the experts. */
export function bitsText(bits: ProjectionBits | undefined): string {
  if (bits === undefined) {
    return '–';
  }
  if (typeof bits === 'number') {
    return short(bits);
  }
  const least = Math.min(...bits);
  const most = Math.max(...bits);
  return least === most
    ? short(least)
    : text('planBitsRange', { mean: formatDecimals(meanBits(bits), 2), least: short(least), most: short(most) });
}

/** Bits a weight takes with its share of scales and zero points. Unrounded weights have neither. */
export function effectiveBits(bits: number, { group, symmetric }: Pick<PlanQuantize, 'group' | 'symmetric'>): number {
  return bits >= scaleBits ? bits : bits + (scaleBits + (symmetric ? 0 : bits)) / group;
}

/** What {@link effectiveBits} adds up to, in words. */
export function bitsArithmetic(bits: number, quantize: Pick<PlanQuantize, 'group' | 'symmetric'>): string {
  if (bits >= scaleBits) {
    return text('planBitsUnrounded', { bits: short(bits) });
  }
  const values = { bits: short(bits), group: quantize.group, total: short(effectiveBits(bits, quantize)) };
  return quantize.symmetric ? text('planBitsSymmetric', values) : text('planBitsZeroPoints', values);
}

/** Mean bits of the listed projections of all layers, codes alone and with scales and zero points. */
export function averageBits(quantize: PlanQuantize): { readonly codes: number; readonly effective: number } {
  const all = quantize.layers.flatMap((layer) =>
    projections.flatMap((projection) => {
      const bits = layerBits(layer, projection);
      return bits === undefined ? [] : [typeof bits === 'number' ? [bits] : bits];
    }),
  );
  const mean = (value: (bits: number) => number): number =>
    all.reduce((sum, bits) => sum + bits.reduce((inner, each) => inner + value(each), 0) / bits.length, 0) /
    Math.max(1, all.length);
  return { codes: mean((bits) => bits), effective: mean((bits) => effectiveBits(bits, quantize)) };
}

/** Why a projection has its bits, and what a weight of it takes. */
export function explainBits(
  quantize: PlanQuantize,
  layer: string,
  projection: Projection,
  bits: ProjectionBits,
): Explanation {
  const tokens = quantize.calibrationTokens;
  const arithmetic =
    typeof bits === 'number'
      ? bitsArithmetic(bits, quantize)
      : [...new Set(bits)]
          .sort((one, other) => one - other)
          .map((each) => bitsArithmetic(each, quantize))
          .join(' ');
  return {
    title: text('planBitsTitle', { layer, projection }),
    rule: text('planRuleBits', { method: quantize.method, group: quantize.group }),
    number: arithmetic,
    source:
      tokens === undefined
        ? text('planSourceDocument')
        : `${text('planSourceDocument')} ${text('planSourceStatistics', { tokens })}`,
  };
}
