import { createHash } from 'node:crypto';
import { loadDatasets, type Dataset } from '../checkpoint/datasets';
import { loadTokenizer, type CheckpointTokenizer } from '../checkpoint/tokenizer';
import { makeWindows } from '../checkpoint/windows';
import type { ScoredPositions } from '../measure/predictedRows';
import { TunerError } from '../protocol/errors';
import { defaultWindowLength } from '../protocol/evaluation';
import type { OpenModel } from './openModel';

/** Token sequences to measure on, and a hash that identifies them. */
export interface CalibrationText {
  readonly sequences: readonly Int32Array[];
  readonly tokens: number;
  /** Which predicted positions of every sequence count; all by default. */
  readonly scored?: readonly ScoredPositions[];
  readonly key: string;
}

/** All windows of one dataset. */
export interface CalibrationDataset {
  readonly windows: readonly Int32Array[];
  /** Whether every text is a window of its own. */
  readonly perDocument: boolean;
}

/** A dataset whose texts are shorter than this share of a window, on average, is taken text by text. */
const shortTextShare = 0.5;

/**
 * A sample of the texts for calibration: every dataset gives the same number of tokens, from windows spread evenly over
 * it. Datasets of short texts (a line, a task item) are cut one text a window, as such models are used; long texts are
 * joined and cut. Deterministic.
 *
 * @param length tokens of a window; by default 512, or what the model's positions allow
 * @throws TunerError `usage` without text, `missingTokenizer`, `malformedText`
 */
export async function calibrationText(
  model: OpenModel,
  params: {
    readonly text: readonly string[];
    readonly calibrationTokens: number;
    readonly length?: number | undefined;
  },
): Promise<CalibrationText> {
  if (params.text.length === 0) {
    throw new TunerError('usage', 'This objective measures the whole model and needs calibration text.', {
      place: '--text',
      wayOut: 'Give text files with --text, or choose a data-free objective such as relative-squared.',
    });
  }
  const datasets = await calibrationWindows(model, params);
  const share = params.calibrationTokens / datasets.length;
  const sequences = datasets.flatMap(({ windows }) => sampleWindows(windows, share));
  const tokens = sequences.reduce((sum, sequence) => sum + sequence.length - 1, 0);
  return { sequences, tokens, key: sequencesKey(sequences) };
}

/**
 * All windows of every dataset, cut as {@link calibrationText} says.
 * @throws TunerError `missingTokenizer`, `malformedText`
 */
export async function calibrationWindows(
  model: OpenModel,
  params: {
    readonly text: readonly string[];
    readonly length?: number | undefined;
    /** Short texts with tags begin as all do, or as the evaluation asks task items: without a separator. */
    readonly tagged?: 'as-text' | 'as-tasks';
  },
): Promise<CalibrationDataset[]> {
  const tokenizer = await loadTokenizer(model.checkpoint);
  const positions = model.resolved.recognised.config.optionalInteger(
    model.resolved.recognised.keys.maxPositions,
  )?.value;
  const length = params.length ?? Math.min(defaultWindowLength, positions ?? defaultWindowLength);
  const datasets = await loadDatasets(params.text);
  return datasets.map((dataset) => cutWindows(dataset, tokenizer, length, params.tagged === 'as-tasks'));
}

/** A hash that identifies sequences, and the positions of them that count. */
export function sequencesKey(sequences: readonly Int32Array[], scored?: readonly ScoredPositions[]): string {
  const hash = createHash('sha256');
  for (const sequence of sequences) {
    hash.update(new Uint8Array(sequence.buffer, sequence.byteOffset, sequence.byteLength)).update('|');
  }
  if (scored !== undefined) {
    hash.update(JSON.stringify(scored));
  }
  return hash.digest('hex');
}

function cutWindows(
  dataset: Dataset,
  tokenizer: CheckpointTokenizer,
  length: number,
  taggedAsTasks: boolean,
): CalibrationDataset {
  const meanLength =
    dataset.texts.slice(0, 200).reduce((sum, text) => sum + tokenizer.encode(text.slice(0, 8 * length)).length, 0) /
    Math.min(200, dataset.texts.length);
  const perDocument = dataset.texts.length > 1 && meanLength < shortTextShare * length;
  const asTasks = taggedAsTasks && dataset.tags !== undefined;
  return { windows: makeWindows(dataset, tokenizer, { length, perDocument, asTasks }), perDocument };
}

/** Windows spread evenly over a dataset, of about `tokens` tokens together. */
function sampleWindows(windows: readonly Int32Array[], tokens: number): Int32Array[] {
  const available = windows.reduce((sum, window) => sum + window.length, 0);
  const count = Math.max(1, Math.min(windows.length, Math.round((windows.length * tokens) / available)));
  return Array.from({ length: count }, (_, at) => windows[Math.floor(((at + 0.5) * windows.length) / count)]!);
}
