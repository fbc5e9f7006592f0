import type { GridSize } from '../ui-kit/gridCursor';
import { colourSteps } from './colourScale';

/** Values of a heat map, row by row; NaN where nothing was measured. In double precision, since texts show them too. */
export interface HeatMapValues extends GridSize {
  readonly values: Float64Array;
}

/** What a heat map shows: values, their headers, and optionally one chosen column per row. */
export interface HeatMapData extends HeatMapValues {
  readonly rowHeaders: readonly string[];
  readonly columnHeaders: readonly string[];
  readonly rowTitle: string;
  readonly columnTitle: string;
  /** Chosen column per row, -1 for none; drawn as a line through the map. */
  readonly chosen: readonly number[] | undefined;
}

/** Smallest, largest and mean of the values that are numbers, and where the largest is. */
export interface ValueRange {
  readonly minimum: number;
  readonly maximum: number;
  readonly mean: number;
  readonly largest: { readonly row: number; readonly column: number };
}

/** The range of the measured values, or undefined when there is none. */
export function valueRange({ values, columns }: HeatMapValues): ValueRange | undefined {
  let minimum = Infinity;
  let maximum = -Infinity;
  let sum = 0;
  let count = 0;
  let largest = 0;
  values.forEach((value, index) => {
    if (Number.isNaN(value)) {
      return;
    }
    if (value > maximum) {
      maximum = value;
      largest = index;
    }
    minimum = Math.min(minimum, value);
    sum += value;
    count += 1;
  });
  if (count === 0) {
    return undefined;
  }
  return {
    minimum,
    maximum,
    mean: sum / count,
    largest: { row: Math.floor(largest / columns), column: largest % columns },
  };
}

/**
 * Colours of the values, one pixel a cell, scaled from the smallest to the largest value.
 *
 * @param pixels red, green, blue, alpha of `[rows × columns]`; cells without a value become transparent
 */
export function paintValues(map: HeatMapValues, range: ValueRange, table: Uint8Array, pixels: Uint8ClampedArray): void {
  const span = range.maximum - range.minimum;
  const scale = span > 0 ? (colourSteps - 1) / span : 0;
  for (let cell = 0; cell < map.values.length; cell += 1) {
    const value = map.values[cell] ?? Number.NaN;
    const pixel = cell * 4;
    if (Number.isNaN(value)) {
      pixels[pixel + 3] = 0;
      continue;
    }
    const step = Math.round((value - range.minimum) * scale) * 3;
    pixels[pixel] = table[step] ?? 0;
    pixels[pixel + 1] = table[step + 1] ?? 0;
    pixels[pixel + 2] = table[step + 2] ?? 0;
    pixels[pixel + 3] = 255;
  }
}
