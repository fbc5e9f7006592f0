import { createHash } from 'node:crypto';
import { TunerError } from '../protocol/errors';
import type { PruneParams } from '../protocol/pruning';
import { calibrationSequences } from './calibrationSequences';
import type { OpenModel } from './openModel';

/** Every how many windows one is for the search; the others are for the comparison in the end. */
const searchEvery = 3;

/** Token sequences that plans are measured on, in two parts. */
export interface MeasureText {
  readonly searched: MeasurePart;
  readonly heldOut: MeasurePart;
}

export interface MeasurePart {
  readonly sequences: readonly Int32Array[];
  /** Identifies the sequences. */
  readonly key: string;
}

/**
 * Windows of the text of the chosen tasks (of all text without any), about as many tokens as asked for, evenly spread. Every third is for
 * the search, the others are held out from it; a single window serves both.
 * @throws TunerError `usage` where no window can be predicted
 */
export async function pruneMeasureText(
  params: PruneParams,
  tags: readonly string[],
  model: OpenModel,
): Promise<MeasureText> {
  const { text, length, windows, perDocument, calibrationTokens } = params;
  const { sequences, tags: names } = await calibrationSequences(model, { text, length, windows, perDocument });
  const wanted = sequences
    .filter(({ tag, ids }) => ids.length > 1 && (tags.length === 0 || tags.includes(names[tag]!)))
    .map(({ ids }) => ids);
  if (wanted.length === 0) {
    throw new TunerError('usage', 'The text holds nothing of the chosen tasks to measure on.', {
      place: '--text',
      wayOut: 'Give text of these tasks, tagged as in the calibration.',
    });
  }
  const available = wanted.reduce((sum, ids) => sum + ids.length, 0);
  const count = Math.max(1, Math.min(wanted.length, Math.round((wanted.length * calibrationTokens) / available)));
  const chosen = Array.from({ length: count }, (_, at) => wanted[Math.floor(((at + 0.5) * wanted.length) / count)]!);
  const part = (forSearch: boolean) =>
    keyed(chosen.length === 1 ? chosen : chosen.filter((_, at) => (at % searchEvery === 0) === forSearch));
  return { searched: part(true), heldOut: part(false) };
}

function keyed(sequences: readonly Int32Array[]): MeasurePart {
  const hash = createHash('sha256');
  for (const ids of sequences) {
    hash.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength)).update('|');
  }
  return { sequences, key: hash.digest('hex') };
}
