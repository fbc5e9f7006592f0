/** Entries of a colour table. */
export const colourSteps = 256;

type Polynomial = readonly [number, number, number, number, number, number];

/**
 * Red, green and blue of cividis as polynomials of the position 0…1, constant term first. Fitted to the map of Nuñez,
 * Anderton and Renslow, "Optimizing colormaps with consideration for color vision deficiency", PLOS ONE 13(7), 2018: even
 * in lightness, and the same to people with and without red-green colour blindness. Coefficients as in d3-scale-chromatic.
 */
const cividis: readonly [Polynomial, Polynomial, Polynomial] = [
  [-4.54, -35.34, 2381.73, -6402.7, 7024.72, -2710.57],
  [32.49, 170.73, 52.82, -131.46, 176.58, -67.37],
  [81.24, 442.36, -2482.43, 6167.24, -6614.94, 2475.67],
];

function evaluate(coefficients: Polynomial, position: number): number {
  const value = coefficients.reduceRight((sum, coefficient) => sum * position + coefficient, 0);
  return Math.max(0, Math.min(255, Math.round(value)));
}

/** The cividis colours as red, green, blue bytes, `[256 × 3]`, dark blue first and light yellow last. */
export function cividisTable(): Uint8Array {
  const table = new Uint8Array(colourSteps * 3);
  for (let step = 0; step < colourSteps; step += 1) {
    cividis.forEach((polynomial, channel) => {
      table[step * 3 + channel] = evaluate(polynomial, step / (colourSteps - 1));
    });
  }
  return table;
}

/** One colour of a table as a CSS colour. */
export function cssColour(table: Uint8Array, step: number): string {
  const at = step * 3;
  return `rgb(${String(table[at])}, ${String(table[at + 1])}, ${String(table[at + 2])})`;
}
