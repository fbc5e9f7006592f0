import { nearestCode } from './roundToNearest';
import { roundScale, type CodeBits } from './quantizedMatrix';

/** Scales that are tried, as shares of the one that clips nothing. */
const shares = Array.from({ length: 15 }, (_, at) => 1 - at * 0.05);

/** Levels of one group: weight = (code - zero) · scale. */
export interface GroupLevels {
  readonly scale: number;
  readonly zero: number;
}

/**
 * The scale (and zero point) of one group with the least weighted squared error, by trial. Clipping rare large weights costs
 * less than coarse levels for all others; the fewer bits, the more.
 *
 * Symmetric codes have one level more below zero than above. The scale may be negative, so that this level lies on the side of the
 * larger weights, as in llama.cpp's Q4_0 (`quantize_row_q4_0_ref`, d = max / -8); no target minds the sign.
 *
 * @param importance weight of every squared error, from `importanceStart`; all 1 where absent
 */
export function searchLevels(
  values: ArrayLike<number>,
  start: number,
  count: number,
  bits: CodeBits,
  symmetric: boolean,
  importance?: ArrayLike<number>,
  importanceStart = 0,
): GroupLevels {
  let [lowest, highest] = [0, 0];
  for (let at = start; at < start + count; at += 1) {
    const value = values[at]!;
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
  }
  if (highest === lowest) {
    return { scale: 1, zero: symmetric ? 2 ** (bits - 1) : 0 };
  }
  let best: GroupLevels = { scale: 1, zero: 0 };
  let least = Infinity;
  for (const candidate of symmetric
    ? symmetricLevels(lowest, highest, bits)
    : asymmetricLevels(lowest, highest, bits)) {
    const error = levelsError(values, start, count, candidate, 2 ** bits - 1, least, importance, importanceStart);
    if (error < least) {
      least = error;
      best = candidate;
    }
  }
  return best;
}

function* symmetricLevels(lowest: number, highest: number, bits: CodeBits): Iterable<GroupLevels> {
  const zero = 2 ** (bits - 1);
  const most = Math.max(-lowest, highest);
  for (const share of shares) {
    const scale = roundScale((share * most) / (zero - 1));
    // The side with the extra level reaches further, so both signs differ, and half steps between them are worth a trial.
    const wide = roundScale((share * most) / zero);
    yield { scale, zero };
    yield { scale: -scale, zero };
    yield { scale: wide, zero };
    yield { scale: -wide, zero };
  }
}

function* asymmetricLevels(lowest: number, highest: number, bits: CodeBits): Iterable<GroupLevels> {
  const top = 2 ** bits - 1;
  for (const share of shares) {
    const scale = roundScale((share * (highest - lowest)) / top);
    const exact = -lowest / scale;
    // A narrower range may clip at either end or at both.
    const slack = (highest - lowest) / scale - top;
    for (const clippedBelow of slack > 1 ? [0, slack / 2, slack] : [slack / 2]) {
      yield { scale, zero: Math.max(0, Math.min(top, Math.round(exact - clippedBelow))) };
    }
  }
}

/** Weighted squared error of a group; gives up early once it exceeds `limit`. */
function levelsError(
  values: ArrayLike<number>,
  start: number,
  count: number,
  { scale, zero }: GroupLevels,
  top: number,
  limit: number,
  importance: ArrayLike<number> | undefined,
  importanceStart: number,
): number {
  const inverse = 1 / scale;
  let error = 0;
  for (let at = 0; at < count; at += 1) {
    const value = values[start + at]!;
    const distance = value - (nearestCode(value * inverse + zero, top) - zero) * scale;
    error += distance * distance * (importance === undefined ? 1 : importance[importanceStart + at]!);
    if (error >= limit) {
      return error;
    }
  }
  return error;
}
