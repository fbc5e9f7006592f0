/** Numbers of steps by which the codes of a first guess may be wider or narrower than the range of the weights. */
const slack = Array.from({ length: 11 }, (_, at) => (at - 5) / 5);

/** Times that levels are fitted to codes and codes to levels after the best guess is known. */
const refits = 2;

/** Levels of one sub-block: weight = scale · code - offset, both never negative. */
export interface AffineLevels {
  scale: number;
  offset: number;
}

/**
 * Levels of a sub-block with the least squared error, by trial: of several widths codes are taken, levels fitted to these by least
 * squares, and the best of all refitted in turn. Offsets are never negative in the format, so levels reach zero at least.
 *
 * @param top largest code
 * @param levels receives the result
 */
export function searchAffineLevels(
  values: Float32Array,
  start: number,
  count: number,
  top: number,
  levels: AffineLevels,
): void {
  let [lowest, highest] = [0, -Infinity];
  for (let at = start; at < start + count; at += 1) {
    const value = values[at]!;
    lowest = value < lowest ? value : lowest;
    highest = value > highest ? value : highest;
  }
  levels.scale = 0;
  levels.offset = -lowest;
  if (highest <= lowest) {
    return;
  }
  let least = Infinity;
  const trial: AffineLevels = { scale: 0, offset: 0 };
  for (const wider of slack) {
    trial.scale = (highest - lowest) / (top + wider);
    trial.offset = -lowest;
    fitLevels(values, start, count, top, trial);
    const error = affineError(values, start, count, top, trial.scale, trial.offset, least);
    if (error < least) {
      least = error;
      levels.scale = trial.scale;
      levels.offset = trial.offset;
    }
  }
  for (let round = 0; round < refits; round += 1) {
    trial.scale = levels.scale;
    trial.offset = levels.offset;
    fitLevels(values, start, count, top, trial);
    const error = affineError(values, start, count, top, trial.scale, trial.offset, least);
    if (error >= least) {
      return;
    }
    least = error;
    levels.scale = trial.scale;
    levels.offset = trial.offset;
  }
}

/** Least squares of the levels for the codes that they give now; levels that cannot be fitted stay. */
function fitLevels(values: Float32Array, start: number, count: number, top: number, levels: AffineLevels): void {
  const { scale, offset } = levels;
  const inverse = 1 / scale;
  let [codes, squares, weights, products] = [0, 0, 0, 0];
  for (let at = start; at < start + count; at += 1) {
    const value = values[at]!;
    const code = affineCode(value, inverse, offset, top);
    codes += code;
    squares += code * code;
    weights += value;
    products += code * value;
  }
  const determinant = count * squares - codes * codes;
  if (determinant <= 0) {
    return;
  }
  const slope = (count * products - codes * weights) / determinant;
  const intercept = (weights - slope * codes) / count;
  if (slope > 0 && intercept <= 0) {
    levels.scale = slope;
    levels.offset = -intercept;
  } else if (intercept > 0 && products > 0) {
    levels.scale = products / squares;
    levels.offset = 0;
  }
}

/** Squared error of the nearest codes; gives up early once it exceeds `limit`. */
export function affineError(
  values: Float32Array,
  start: number,
  count: number,
  top: number,
  scale: number,
  offset: number,
  limit = Infinity,
): number {
  const inverse = scale > 0 ? 1 / scale : 0;
  let error = 0;
  for (let at = start; at < start + count && error < limit; at += 1) {
    const value = values[at]!;
    const distance = value - (scale * affineCode(value, inverse, offset, top) - offset);
    error += distance * distance;
  }
  return error;
}

/** The code of the level nearest to a weight. @param inverse of the scale, 0 where the scale is 0 */
export function affineCode(value: number, inverse: number, offset: number, top: number): number {
  const code = Math.floor((value + offset) * inverse + 0.5);
  return code < 0 ? 0 : code > top ? top : code;
}
