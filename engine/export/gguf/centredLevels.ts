/** Numbers of steps by which the first guess of a scale may be wider or narrower than the largest weight. */
const slack = Array.from({ length: 19 }, (_, at) => (at - 9) / 10);

/**
 * The scale of a sub-block of codes from -most to most - 1 with the least squared error, by trial: of several widths codes are taken,
 * and the scale fitted to these by least squares. It may be negative, since there is one level more below zero than above.
 */
export function searchCentredScale(values: Float32Array, start: number, count: number, most: number): number {
  let extreme = 0;
  for (let at = start; at < start + count; at += 1) {
    const value = values[at]!;
    extreme = Math.abs(value) > Math.abs(extreme) ? value : extreme;
  }
  if (extreme === 0) {
    return 0;
  }
  let found = 0;
  let explained = 0;
  for (const wider of slack) {
    const inverse = -(most + wider) / extreme;
    let [products, squares] = [0, 0];
    for (let at = start; at < start + count; at += 1) {
      const value = values[at]!;
      const code = centredCode(value, inverse, most);
      products += code * value;
      squares += code * code;
    }
    // The squared error of the fitted scale is that of zero less this.
    if (squares > 0 && products * products > explained * squares) {
      explained = (products * products) / squares;
      found = products / squares;
    }
  }
  return found;
}

/** Squared error of the nearest codes; gives up early once it exceeds `limit`. */
export function centredError(
  values: Float32Array,
  start: number,
  count: number,
  most: number,
  scale: number,
  limit = Infinity,
): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let error = 0;
  for (let at = start; at < start + count && error < limit; at += 1) {
    const value = values[at]!;
    const distance = value - scale * centredCode(value, inverse, most);
    error += distance * distance;
  }
  return error;
}

/** The code of the level nearest to a weight, from -most to most - 1. @param inverse of the scale, 0 where the scale is 0 */
export function centredCode(value: number, inverse: number, most: number): number {
  const code = Math.floor(value * inverse + 0.5);
  return code < -most ? -most : code >= most ? most - 1 : code;
}
