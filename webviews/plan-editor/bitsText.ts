import type { PlanQuantize } from '../../engine/protocol/plan';
import { text } from '../strings';
import { formatDecimals, formatInteger, formatShare } from '../ui-kit/numbers';
import { averageBits, effectiveBits, groupOf, meanBits, unroundedBits } from './bitsModel';
import type { Projection, ProjectionBits, Rounding } from './bitsModel';
import type { Explanation } from './explanation';

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

/** What the effective bits of a weight add up to, in words. */
export function bitsArithmetic(bits: number, rounding: Rounding, projection: Projection): string {
  if (bits >= unroundedBits) {
    return text('planBitsUnrounded', { bits: short(bits) });
  }
  const total = short(effectiveBits(bits, rounding, projection));
  const values = { bits: short(bits), group: groupOf(rounding, projection), total };
  return rounding.symmetric ? text('planBitsSymmetric', values) : text('planBitsZeroPoints', values);
}

/** The bits of a cell in a line. */
export function bitsLine(
  quantize: PlanQuantize,
  layer: string,
  projection: Projection,
  bits: ProjectionBits,
  expert?: number,
): string {
  const line =
    expert === undefined
      ? text('planBitsLine', { layer, projection, bits: bitsText(bits) })
      : text('planBitsExpertLine', { layer, projection, expert, bits: bitsText(bits) });
  const effective = typeof bits === 'number' ? effectiveBits(bits, quantize, projection) : undefined;
  return effective === undefined || effective === bits
    ? line
    : text('planBitsWith', { line, effective: short(effective) });
}

/** Why a projection, or one expert of it, has its bits, and what a weight of it takes. */
export function explainBits(
  quantize: PlanQuantize,
  layer: string,
  projection: Projection,
  bits: ProjectionBits,
  expert?: number,
): Explanation {
  const tokens = quantize.calibrationTokens;
  const distinct = typeof bits === 'number' ? [bits] : [...new Set(bits)].sort((one, other) => one - other);
  const values = { layer, projection, expert: expert ?? '' };
  const source = tokens === undefined ? [] : [text('planSourceStatistics', { tokens: formatInteger(tokens) })];
  return {
    title: text(expert === undefined ? 'planBitsTitle' : 'planBitsExpertTitle', values),
    rule: text('planRuleBits', { method: quantize.method, group: groupOf(quantize, projection) }),
    number: distinct.map((each) => bitsArithmetic(each, quantize, projection)).join(' '),
    source: [text('planSourceDocument'), ...source].join(' '),
  };
}

/** How the mean of the codes comes about. */
export function explainCodes(quantize: PlanQuantize): Explanation {
  const { codes, parts } = averageBits(quantize);
  const terms = parts.map(({ bits, share }) => `${formatShare(share)} × ${short(bits)}`).join(' + ');
  return {
    title: text('planBitsCodes'),
    rule: text('planRuleBitsCodes'),
    number: text('planBitsSum', { terms, total: formatDecimals(codes, 3) }),
    source: text('planSourceDocument'),
  };
}

/** How the mean with scales and zero points comes about, and what the run counted. */
export function explainEffective(quantize: PlanQuantize): Explanation {
  const { effective, parts } = averageBits(quantize);
  const one = ({ bits, group }: { readonly bits: number; readonly group: number }): string =>
    short(effectiveBits(bits, { group, symmetric: quantize.symmetric }, 'gate'));
  const terms = parts.map((part) => `${formatShare(part.share)} × ${one(part)}`).join(' + ');
  const recorded = quantize.effectiveBits;
  const number = text('planBitsSum', { terms, total: formatDecimals(effective, 3) });
  return {
    title: text('planBitsEffective'),
    rule: text('planRuleBitsEffective', { scale: unroundedBits, group: quantize.group }),
    number:
      recorded === undefined
        ? number
        : `${number} ${text('planBitsRecorded', { effective: formatDecimals(recorded, 3) })}`,
    source: text('planSourceDocument'),
  };
}
