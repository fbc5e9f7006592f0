import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadDatasets } from '../../engine/checkpoint/datasets';
import { calibrationSequences, type CalibrationTextOptions } from '../../engine/jobs/calibrationSequences';
import { openModel } from '../../engine/jobs/openModel';
import { coverageOf } from '../../engine/measure/calibration/coverage';
import { sampleTokens } from '../../engine/measure/calibration/tokenSample';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { samplePath } from '../support/brokenSamples';
import { failureOf } from '../support/failureOf';
import { statisticsSample } from '../support/statisticsSample';
import { temporaryFolder } from '../support/temporaryFolder';

const lines = [
  { task: 'copy', text: 'copy abc>abc\n' },
  { domain: 'sorting', text: 'sort cab>abc\n' },
  { task: 'copy', domain: 'ignored', text: 'copy de>de\n' },
  { task: 7, text: 'upper abc>ABC\n' },
];

async function cut(options: Partial<CalibrationTextOptions>) {
  const folder = await temporaryFolder();
  const file = path.join(folder, 'mixed.jsonl');
  await writeFile(file, lines.map((line) => JSON.stringify(line)).join('\n'));
  const other = path.join(folder, 'plain.txt');
  await writeFile(other, 'copy abc>abc\n'.repeat(20));
  return calibrationSequences(await openModel(samplePath), { text: [file, other], perDocument: true, ...options });
}

describe('tags of calibration text', () => {
  test('come from task or domain, and from the dataset where a line has none', async () => {
    const folder = await temporaryFolder();
    const file = path.join(folder, 'mixed.jsonl');
    await writeFile(file, lines.map((line) => JSON.stringify(line)).join('\n'));
    const [dataset] = await loadDatasets([file]);
    expect(dataset?.tags).toEqual(['copy', 'sorting', 'copy', undefined]);

    const { tags, sequences } = await cut({ length: 48 });
    expect(tags).toEqual(['copy', 'sorting', 'mixed', 'plain']);
    expect(sequences.map(({ tag }) => tags[tag])).toEqual(['copy', 'copy', 'sorting', 'mixed', 'plain']);
  });

  test('texts of one tag are joined with each other only', async () => {
    const { sequences, tags, tokens } = await cut({ perDocument: false, length: 16 });
    const perTag = tags.map((_, tag) => sequences.filter((sequence) => sequence.tag === tag).length);
    expect(perTag).toEqual([1, 1, 1, 16]);
    expect(tokens).toBe(sequences.reduce((sum, { ids }) => sum + ids.length, 0));
  });

  test('a limit is shared evenly, and what small texts leave goes to the others', async () => {
    const all = await cut({ perDocument: false, length: 8 });
    const limited = await cut({ perDocument: false, length: 8, tokens: 160 });
    const counts = (text: typeof all) =>
      text.tags.map((_, tag) => text.sequences.filter((sequence) => sequence.tag === tag).length);
    expect(counts(all)).toEqual([3, 1, 1, 32]);
    expect(counts(limited)).toEqual([3, 1, 1, 15]);
  });

  test('windows count per tag; many short texts in one window are told', async () => {
    const { sequences, notes } = await cut({ perDocument: false, length: 8, windows: 1 });
    expect(sequences).toHaveLength(4);
    expect(notes).toEqual([]);
    const folder = await temporaryFolder();
    const file = path.join(folder, 'short.jsonl');
    await writeFile(
      file,
      Array<string>(40)
        .fill(JSON.stringify({ text: 'ab>ab\n' }))
        .join('\n'),
    );
    const short = await cut({ perDocument: false, length: 48, text: [file] });
    expect(short.notes).toEqual([expect.stringMatching(/--per-document/)]);
    expect((await cut({ length: 48, text: [file] })).notes).toEqual([]);
  });

  test('hundreds of tags are refused: somebody put a line number there', async () => {
    const file = path.join(await temporaryFolder(), 'numbered.jsonl');
    const numbered = Array.from({ length: 300 }, (_, at) => JSON.stringify({ task: `line ${at}`, text: 'ab>ab\n' }));
    await writeFile(file, numbered.join('\n'));
    const error = await failureOf(cut({ text: [file] }));
    expect([error.code, error.message]).toEqual(['malformedText', 'The texts have 300 different tasks or domains.']);
  });

  test('no text is wrong usage', async () => {
    expect((await failureOf(cut({ text: [] }))).code).toBe('usage');
  });
});

describe('the sample of tokens', () => {
  test('is ascending, without repetition, the same for a seed, all tokens where there are few', () => {
    const sample = sampleTokens(1000, 100, 3);
    expect([...sample]).toEqual([...new Set(sample)].sort((left, right) => left - right));
    expect(sample.length).toBe(100);
    expect(Math.min(...sample)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...sample)).toBeLessThan(1000);
    expect(sampleTokens(1000, 100, 3)).toEqual(sample);
    expect(sampleTokens(1000, 100, 4)).not.toEqual(sample);
    expect([...sampleTokens(4, 9, 0)]).toEqual([0, 1, 2, 3]);
  });

  test('takes every token equally often over many seeds', () => {
    const hits = Array<number>(20).fill(0);
    for (let seed = 0; seed < 4000; seed += 1) {
      sampleTokens(20, 5, seed).forEach((token) => (hits[token]! += 1));
    }
    // Binomial with 4000 draws of probability 1/4: five standard deviations are 137.
    expect(hits.every((hit) => Math.abs(hit - 1000) < 137)).toBe(true);
  });
});

test('coverage says which experts saw too little, by share and by tokens', () => {
  const [layer] = statisticsSample().layers;
  const block = { hiddenSize: 2, intermediateSize: 4 } as MoeBlockSpec;
  // Counts are 10, 8, 2, 0 of 10 tokens.
  expect(coverageOf(layer!, block)).toEqual({
    leastTokens: 0,
    medianTokens: 5,
    shareThreshold: 0.05,
    tokenThreshold: 8,
    belowShare: [3],
    belowTokens: [2, 3],
    neverChosen: [3],
  });
});
