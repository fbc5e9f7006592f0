import { describe, expect, it } from 'vitest';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import { TunerError } from '../../engine/protocol/errors';
import {
  activeSummary,
  genaiLenses,
  numbersProblem,
  typedNumbers,
  type OnnxModelState,
} from '../../extension/config/genaiLenses';
import { summary as checkpoint } from '../support/webviewSnapshots';

const text = '{\n  "model": {\n    "type": "qwen2",\n    "decoder": { "filename": "model.onnx" }\n  }\n}\n';
const here = { trusted: true, onDisk: true };

function summaryOf(active: readonly number[], experts = 8): CheckpointSummary {
  const layers = active.map((k, index) => ({
    index,
    moe: true,
    experts,
    active: k,
    sharedExperts: 0,
    expertBytes: 1000,
  }));
  const dense = { index: active.length, moe: false, experts: 0, active: 0, sharedExperts: 0, expertBytes: 0 };
  return { ...checkpoint, family: 'onnx', experts, dtype: '4 bits', layers: [...layers, dense] };
}

const ready = (active: readonly number[]): OnnxModelState => ({ kind: 'ready', summary: summaryOf(active) });

describe('lenses on genai_config.json', () => {
  it('say what the operators do, and lead to the change, above the decoder', () => {
    const lenses = genaiLenses(text, ready([2, 2, 2]), here);
    expect(lenses.map(({ title, command }) => [title, command])).toEqual([
      ['3 MoE operators · 2 of 8 experts active', undefined],
      ['Set active experts…', 'moeTuner.setActiveExperts'],
      [expect.stringMatching(/of it experts \(4 bits\)$/), undefined],
    ]);
    expect(text.slice(lenses[0]!.anchor.property.offset)).toMatch(/^"decoder"/);
  });

  it('tell numbers that differ as a range', () => {
    expect(activeSummary([1, 4, 2])).toBe('1 to 4 (2.33 on average)');
    expect(activeSummary([3])).toBe('3');
  });

  it('are few where the engine may not run, has not answered, or found no experts', () => {
    const titles = (state: OnnxModelState | undefined, situation = here) =>
      genaiLenses(text, state, situation).map(({ title }) => title);
    expect(titles(undefined)).toEqual([]);
    expect(titles({ kind: 'reading' })).toEqual([]);
    expect(titles(ready([2]), { trusted: false, onDisk: true })).toEqual(['Trust this folder to read its model']);
    expect(titles(ready([2]), { trusted: true, onDisk: false })).toEqual([]);
    const dense = new TunerError('notMixtureOfExperts', 'The model has no MoE or QMoE operator.');
    expect(titles({ kind: 'failed', error: dense })).toEqual([]);
    const broken = new TunerError('notACheckpoint', 'The file is not an ONNX model.');
    expect(titles({ kind: 'failed', error: broken })).toEqual(['$(warning) The file is not an ONNX model.']);
    expect(genaiLenses('{', ready([2]), here)).toEqual([]);
  });
});

describe('typed numbers', () => {
  const summary = summaryOf([2, 2, 2]);

  it('are one for all operators, or one for each', () => {
    expect(typedNumbers('3', summary)).toEqual([3, 3, 3]);
    expect(typedNumbers(' 1, 8 2', summary)).toEqual([1, 8, 2]);
    expect(numbersProblem('1,2,3', summary)).toBeUndefined();
  });

  it.each(['', '0', '9', '1,2', '1.5', 'x', '1,2,3,4'])('%j is refused with what is possible', (typed) => {
    expect(typedNumbers(typed, summary)).toBeUndefined();
    expect(numbersProblem(typed, summary)).toBe('Give one number from 1 to 8, or 3 of them separated by commas.');
  });
});
