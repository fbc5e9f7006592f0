import type { Thumbnail } from './thumbnails';

/** How two pictures of the same thing differ. */
export interface Difference {
  /** Largest relative difference of width and height. */
  readonly size: number;
  /** Mean difference of the blocks, of 255. */
  readonly mean: number;
  /** Share of the blocks that differ by more than {@link visible}. */
  readonly changed: number;
}

/** A difference of a smoothed block that a person sees as another colour, of 255. */
export const visible = 20;

/**
 * What other rasterizers of the same letters stay under: they move edges by parts of a pixel and weigh strokes differently, which
 * blocks of several letters average out. `test/webview/dashboardPictures.test.ts` shows what both sides of the limits look like.
 */
export const limits: Difference = { size: 0.03, mean: 4.5, changed: 0.012 };

/** Means of each block and its neighbours: an edge that moves by a part of a block changes little. */
function smoothed({ width, height, data }: Thumbnail): Float64Array {
  const result = new Float64Array(data.length);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        let sum = 0;
        let count = 0;
        for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y += 1) {
          for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x += 1) {
            sum += data[(y * width + x) * 3 + channel]!;
            count += 1;
          }
        }
        result[(row * width + column) * 3 + channel] = sum / count;
      }
    }
  }
  return result;
}

/** Compares block by block; a picture of slightly another size is stretched to the stored one. */
export function differenceOf(stored: Thumbnail, shown: Thumbnail): Difference {
  const size = Math.max(
    Math.abs(shown.width - stored.width) / stored.width,
    Math.abs(shown.height - stored.height) / stored.height,
  );
  const before = smoothed(stored);
  const after = smoothed(shown);
  const { width, height } = stored;
  let sum = 0;
  let changed = 0;
  for (let row = 0; row < height; row += 1) {
    const y = Math.min(shown.height - 1, Math.floor(((row + 0.5) / height) * shown.height));
    for (let column = 0; column < width; column += 1) {
      const x = Math.min(shown.width - 1, Math.floor(((column + 0.5) / width) * shown.width));
      let block = 0;
      for (let channel = 0; channel < 3; channel += 1) {
        const one = before[(row * width + column) * 3 + channel]!;
        const other = after[(y * shown.width + x) * 3 + channel]!;
        block = Math.max(block, Math.abs(one - other));
      }
      sum += block;
      changed += block > visible ? 1 : 0;
    }
  }
  return { size, mean: sum / (width * height), changed: changed / (width * height) };
}

/** Whether a person would say that the two show the same. */
export function isAlike({ size, mean, changed }: Difference): boolean {
  return size <= limits.size && mean <= limits.mean && changed <= limits.changed;
}
