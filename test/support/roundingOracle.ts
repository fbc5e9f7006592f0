/**
 * Rounding written from its description alone, sharing nothing with the engine.
 */

/** Nearest float16, by trying neighbours of the quotient with its spacing. */
function nearestFloat16(value: number): number {
  const spacing = 2 ** (Math.max(-14, Math.floor(Math.log2(value))) - 10);
  const steps = value / spacing;
  const below = Math.floor(steps);
  const up = steps - below > 0.5 || (steps - below === 0.5 && below % 2 === 1);
  return (below + (up ? 1 : 0)) * spacing;
}

/** Symmetric round-to-nearest in groups along rows: the scale is that of the largest weight, in float16. */
export function rounded(values: Float64Array, bits: number, group = 32): Float64Array {
  const most = 2 ** (bits - 1) - 1;
  return values.map((value, at) => {
    const sharing = values.subarray(at - (at % group), at - (at % group) + group);
    const largest = sharing.reduce((found, each) => Math.max(found, Math.abs(each)), 0);
    const scale = largest === 0 ? 1 : nearestFloat16(Math.fround(largest / most));
    const code = value / scale;
    const down = Math.floor(code);
    const up = code - down > 0.5 || (code - down === 0.5 && Math.abs(down % 2) === 1);
    return Math.max(-most, Math.min(most, down + (up ? 1 : 0))) * scale;
  });
}
