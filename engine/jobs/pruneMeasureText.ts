import { createHash } from 'node:crypto';
import { TunerError } from '../protocol/errors';
import type { PruneParams } from '../protocol/pruning';
import { calibrationSequences } from './calibrationSequences';
import { evenOverTags } from './evenOverTags';
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
 * Windows of the text of the chosen tasks (of all text without any), about as many tokens as asked for, from all tasks, domains and
 * datasets alike. Every third is for the search, the others are held out from it; a single window serves both.
 * @throws TunerError `usage` where no window can be predicted
 */
export async function pruneMeasureText(
  params: PruneParams,
  tags: readonly string[],
  model: OpenModel,
): Promise<MeasureText> {
  const { text, length, windows, perDocument, calibrationTokens } = params;
  const { sequences, tags: names } = await calibrationSequences(model, { text, length, windows, perDocument });
  const wanted = sequences.filter(
    ({ tag, ids }) => ids.length > 1 && (tags.length === 0 || tags.includes(names[tag]!)),
  );
  if (wanted.length === 0) {
    throw new TunerError('usage', 'The text holds nothing of the chosen tasks to measure on.', {
      place: '--text',
      wayOut: 'Give text of these tasks, tagged as in the calibration.',
    });
  }
  // Tags of one window start at another part each, so that neither part lacks most of them.
  const places = evenOverTags(wanted, calibrationTokens).flatMap((own, first) =>
    own.map(({ ids }, at) => ({ ids, searched: (first + at) % searchEvery === 0 })),
  );
  const part = (forSearch: boolean) =>
    keyed(places.filter(({ searched }) => places.length === 1 || searched === forSearch).map(({ ids }) => ids));
  return { searched: part(true), heldOut: part(false) };
}

function keyed(sequences: readonly Int32Array[]): MeasurePart {
  const hash = createHash('sha256');
  for (const ids of sequences) {
    hash.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength)).update('|');
  }
  return { sequences, key: hash.digest('hex') };
}
