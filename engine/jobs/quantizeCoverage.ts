import type { MoeBlockSpec } from '../families/specification';
import { TunerError } from '../protocol/errors';
import type { QuantizedLayer } from '../protocol/quantization';

/**
 * Refuses a calibration that calibrated nothing: every expert would be rounded to nearest under the name of another method.
 * @param uncovered experts of every MoE layer that the text hardly reached
 * @throws TunerError `usage`
 */
export function assertCovered(uncovered: readonly (readonly number[])[], blocks: readonly MoeBlockSpec[]): void {
  const reached = blocks.some(({ experts }, at) => (uncovered[at] ?? []).length < experts.length);
  if (!reached) {
    throw new TunerError('usage', 'The text reached no expert with enough tokens to calibrate it.', {
      place: '--text, --calibration-tokens',
      wayOut: 'Give more text, or choose rtn or hqq, which look at weights alone.',
    });
  }
}

/** Experts that were rounded to nearest because text hardly reached them, in words; undefined where there are none. */
export function coverageNote(layers: readonly Pick<QuantizedLayer, 'index' | 'uncovered'>[]): string | undefined {
  const weak = layers.filter(({ uncovered }) => uncovered.length > 0);
  const list = weak.map(({ index, uncovered }) => `layer ${index}: ${ranges(uncovered)}`).join('; ');
  return weak.length === 0
    ? undefined
    : `The text hardly reached some experts; they were rounded to nearest (${list}). Give more or other text.`;
}

/** Ascending numbers with runs as their ends: 0-3, 7. */
function ranges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === number - 1) {
      last[1] = number;
    } else {
      runs.push([number, number]);
    }
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(', ');
}
