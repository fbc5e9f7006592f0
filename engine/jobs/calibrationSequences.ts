import { createHash } from 'node:crypto';
import { loadDatasets, type Dataset } from '../checkpoint/datasets';
import { loadTokenizer } from '../checkpoint/tokenizer';
import { makeWindows } from '../checkpoint/windows';
import { countTokens, type TaggedSequence } from '../measure/calibration/batchTokens';
import { TunerError } from '../protocol/errors';
import { defaultWindowLength } from '../protocol/evaluation';
import { assertVocabulary } from './evaluate';
import type { OpenModel } from './openModel';

export interface CalibrationTextOptions {
  readonly text: readonly string[];
  /** Tokens of a window. */
  readonly length?: number | undefined;
  /** Windows of every dataset, or of every tag of it. */
  readonly windows?: number | undefined;
  readonly perDocument: boolean;
  /** Most tokens altogether. */
  readonly tokens?: number | undefined;
}

/** Calibration text as the model reads it. */
export interface CalibrationSequences {
  readonly sequences: readonly TaggedSequence[];
  /** Tasks or domains; the name of the dataset for texts without one. */
  readonly tags: readonly string[];
  readonly texts: readonly { readonly name: string; readonly sha256: string; readonly tokens: number }[];
  readonly length: number;
  readonly tokens: number;
  /** Mean tokens of a window, which is far below `length` when texts are short and taken one by one. */
  readonly notes: readonly string[];
}

/** Most tasks and domains: every one has sums of its own for every expert. */
const mostTags = 256;

/** Texts are called short when, joined, this many of them fit into one window. */
const shortTextsPerWindow = 4;

/**
 * Cuts texts into windows as evaluation does. Texts of one task or domain are joined with each other only, so that every window has
 * one tag. Deterministic.
 * @throws TunerError `usage` without text, `missingTokenizer`, `malformedText`, `malformedTokenizer`
 */
export async function calibrationSequences(
  model: OpenModel,
  options: CalibrationTextOptions,
): Promise<CalibrationSequences> {
  if (options.text.length === 0) {
    throw new TunerError('usage', 'There is nothing to calibrate on.', {
      place: '--text',
      wayOut: 'Give text files with --text: .txt, .jsonl with "text", or .json with named lists.',
    });
  }
  const tokenizer = await loadTokenizer(model.checkpoint);
  const datasets = (await loadDatasets(options.text)).flatMap(splitByTag);
  const tags = [...new Set(datasets.map(({ name }) => name))];
  if (tags.length > mostTags) {
    throw new TunerError('malformedText', `The texts have ${tags.length} different tasks or domains.`, {
      place: 'task, domain',
      wayOut: `Use at most ${mostTags}, or leave the fields out.`,
    });
  }
  const { config, keys } = model.resolved.recognised;
  const positions = config.optionalInteger(keys.maxPositions)?.value ?? defaultWindowLength;
  const length = options.length ?? Math.min(defaultWindowLength, positions);
  const { windows, perDocument } = options;
  const groups = datasets.map((part) => ({
    ...part,
    windows: makeWindows(part, tokenizer, { length, perDocument, windows }),
  }));
  const limits = shareOut(
    groups.map((group) => group.windows.reduce((sum, ids) => sum + ids.length, 0)),
    options.tokens ?? Infinity,
  );
  const chosen = groups.map((group, at) => ({ ...group, windows: spreadEvenly(group.windows, limits[at]!) }));
  const sequences = chosen.flatMap((group) =>
    group.windows.map((ids): TaggedSequence => ({ ids, tag: tags.indexOf(group.name) })),
  );
  assertVocabulary(
    sequences.map(({ ids }) => ids),
    model.resolved.decoder(),
    model.checkpoint.tokenizerFile,
  );
  const texts = chosen.map((group) => ({
    name: group.dataset === group.name ? group.name : `${group.dataset}: ${group.name}`,
    sha256: hashOf(group.windows),
    tokens: group.windows.reduce((sum, ids) => sum + ids.length, 0),
  }));
  const short = perDocument
    ? []
    : groups
        .filter((group) => group.texts.length >= shortTextsPerWindow * group.windows.length)
        .map(({ name }) => name);
  const notes =
    short.length === 0
      ? []
      : [
          `Many short texts share a window of ${length} tokens (${short.slice(0, 3).join(', ')}${short.length > 3 ? ', …' : ''}). If the model reads them one by one, use --per-document.`,
        ];
  return { sequences, tags, texts, length, tokens: countTokens(sequences), notes };
}

/** A dataset for every tag, in order of first appearance; texts without one keep the name of the dataset. */
function splitByTag(dataset: Dataset): (Dataset & { readonly dataset: string })[] {
  const parts = new Map<string, string[]>();
  dataset.texts.forEach((text, at) => {
    const name = dataset.tags?.[at] ?? dataset.name;
    const texts = parts.get(name) ?? [];
    texts.push(text);
    parts.set(name, texts);
  });
  return [...parts]
    .filter(([, texts]) => texts.some((text) => text !== ''))
    .map(([name, texts]) => ({ name, texts, dataset: dataset.name }));
}

/** Divides a number of tokens evenly; what small groups leave goes to the others. */
function shareOut(available: readonly number[], total: number): number[] {
  const limits = available.map(() => 0);
  const ascending = [...available.keys()].sort((left, right) => available[left]! - available[right]!);
  let rest = total;
  ascending.forEach((group, at) => {
    limits[group] = Math.min(available[group]!, rest / (ascending.length - at));
    rest -= limits[group];
  });
  return limits;
}

/** Windows of about `tokens` tokens together, evenly spread over all of them; at least one. */
function spreadEvenly(windows: readonly Int32Array[], tokens: number): Int32Array[] {
  const available = windows.reduce((sum, ids) => sum + ids.length, 0);
  const count = Math.min(windows.length, Math.max(1, Math.round((windows.length * tokens) / available)));
  return Array.from({ length: count }, (_, at) => windows[Math.floor(((at + 0.5) * windows.length) / count)]!);
}

function hashOf(windows: readonly Int32Array[]): string {
  const hash = createHash('sha256');
  for (const ids of windows) {
    hash.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength)).update('|');
  }
  return hash.digest('hex');
}
