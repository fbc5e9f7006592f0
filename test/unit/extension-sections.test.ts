import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { mergeMethodNames } from '../../engine/protocol/merging';
import { pruneMethodNames, pruneReplacementNames } from '../../engine/protocol/pruning';
import { quantizerNames } from '../../engine/protocol/quantization';
import { calibration } from '../support/calibrationSnapshot';
import { summary } from '../support/webviewSnapshots';

const showQuickPick = vi.fn();
vi.mock('vscode', () => ({ window: { showQuickPick } }));
const { coverageSentence } = await import('../../extension/commands/calibrate');
const { expertsLeft, ratioProblem } = await import('../../extension/commands/amountChoices');
const { pickTasks, tagsOf } = await import('../../extension/commands/taskChoices');
const { pickReplacement, replacementTexts } = await import('../../extension/commands/replacementChoices');
const { mergeMethodTexts, pruneMethodTexts, quantizerTexts } = await import('../../extension/commands/methodTexts');

test('every method of the protocol is offered with one line, except those that need another checkpoint', () => {
  expect(Object.keys(pruneMethodTexts()).sort()).toEqual(
    pruneMethodNames.filter((name) => name !== 'router-change').sort(),
  );
  expect(Object.keys(mergeMethodTexts()).sort()).toEqual([...mergeMethodNames].sort());
  expect(Object.keys(quantizerTexts()).sort()).toEqual([...quantizerNames].sort());
  for (const texts of [pruneMethodTexts(), mergeMethodTexts(), quantizerTexts()]) {
    const lines = Object.values(texts).map(({ description }) => description);
    expect(new Set(lines).size).toBe(lines.length);
    expect(lines.every((line) => line.length > 10 && line.length < 90)).toBe(true);
  }
});

test('as many experts stay as are active', () => {
  expect(expertsLeft(summary, 0.25)).toBe(24);
  expect(expertsLeft(summary, 0.9)).toBe(summary.activeExperts);
});

test('a typed share is a percentage', () => {
  expect(ratioProblem('25')).toBeUndefined();
  for (const wrong of ['', ' ', '0', '100', '-5', 'x']) {
    expect(ratioProblem(wrong)).toBe('Type a number between 0 and 100.');
  }
});

test('coverage is told in numbers', () => {
  expect(coverageSentence(calibration)).toBe('4 k tokens calibrated. 1 of 384 experts (0.3 %) saw few tokens, 1 none.');
  const layers = calibration.layers.filter(({ index }) => index !== 3);
  expect(coverageSentence({ ...calibration, layers })).toBe('4 k tokens calibrated. Every expert was covered.');
});

test('what stands where experts go is asked in one line each, a measured mean only where there is text', async () => {
  const texts = replacementTexts();
  expect(Object.keys(texts).sort()).toEqual([...pruneReplacementNames].sort());
  expect(Object.values(texts).every(({ description }) => description.length < 90)).toBe(true);
  showQuickPick.mockImplementation((items: { name: string }[]) => Promise.resolve(items.at(-1)));
  expect(await pickReplacement(true)).toBe('zero');
  const offered = () => (showQuickPick.mock.lastCall?.[0] as { name: string }[]).map(({ name }) => name);
  expect(offered()).toEqual(['none', 'constant', 'zero']);
  await pickReplacement(false);
  expect(offered()).toEqual(['none', 'zero']);
  showQuickPick.mockResolvedValue(undefined);
  expect(await pickReplacement(true)).toBeUndefined();
});

test('tasks are asked where texts are tagged; all of them is no choice', async () => {
  const calibrationText = path.join(import.meta.dirname, '../../media/sample/calibration.jsonl');
  const tags = await tagsOf([calibrationText, '/nowhere/plain.txt', '/nowhere/gone.jsonl']);
  expect(tags.size).toBeGreaterThan(1);
  const lines = readFileSync(calibrationText, 'utf8').split('\n').filter(Boolean);
  expect([...tags.values()].reduce((sum, count) => sum + count, 0)).toBe(lines.length);
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-tags-'));
  try {
    const mixed = path.join(folder, 'mixed.jsonl');
    writeFileSync(
      mixed,
      '{"text":"a","domain":"law"}\nno json\n{"text":"b","task":7}\n[1]\n{"text":"c","task":"code"}\n',
    );
    expect([...(await tagsOf([mixed]))]).toEqual([
      ['law', 1],
      ['code', 1],
    ]);
    const picks = (take: (items: { label: string }[]) => unknown) =>
      showQuickPick.mockImplementation((items: { label: string }[]) => Promise.resolve(take(items)));
    picks((items) => items);
    expect(await pickTasks([mixed])).toEqual([]);
    picks((items) => items.slice(1));
    expect(await pickTasks([mixed])).toEqual(['code']);
    picks(() => undefined);
    expect(await pickTasks([mixed])).toBeUndefined();
    showQuickPick.mockClear();
    expect(await pickTasks(['/nowhere/plain.txt'])).toEqual([]);
    expect(showQuickPick).not.toHaveBeenCalled();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
