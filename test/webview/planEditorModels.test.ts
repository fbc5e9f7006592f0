import { describe, expect, test } from 'vitest';
import { barIntent } from '../../webviews/plan-editor/barKeys';
import { averageBits, bitsArithmetic, effectiveBits } from '../../webviews/plan-editor/bitsModel';
import { allocated, asTrained, gradient, setAll, stepped } from '../../webviews/plan-editor/budgetGestures';
import { pruneByRatio, pruneByThreshold, setCells } from '../../webviews/plan-editor/expertGestures';
import { cellsIn } from '../../webviews/plan-editor/cellRange';
import { PendingEdits } from '../../webviews/plan-editor/pendingEdits';
import { lossAlong, sensitivityBackground } from '../../webviews/plan-editor/sensitivityBackground';
import { lossTable, measurements, samplePlan } from '../support/planEditorSamples';

const layers = [8, 8, 4, 8].map((trained, position) => ({
  position,
  active: [3, 8, 4, 5][position]!,
  trained,
  locked: position === 3,
}));

describe('gestures on budgets', () => {
  test('stay between one and the trained number, and leave locked layers alone', () => {
    expect(stepped(layers, [0, 1, 2, 3], 2)).toEqual([{ position: 0, active: 5 }]);
    expect(stepped(layers, [0, 1, 2, 3], -9)).toEqual([0, 1, 2].map((position) => ({ position, active: 1 })));
    expect(setAll(layers, [2, 3, 0], 6)).toEqual([{ position: 0, active: 6 }]);
    expect(asTrained(layers, [0, 1, 3])).toEqual([{ position: 0, active: 8 }]);
  });

  test('a number above the trained one is kept, and never raised', () => {
    const above = [{ position: 0, active: 9, trained: 8, locked: false }];
    expect(stepped(above, [0], 1)).toEqual([]);
    expect(stepped(above, [0], -1)).toEqual([{ position: 0, active: 8 }]);
  });

  test('a gradient is a rounded straight line over the chosen layers', () => {
    const many = Array.from({ length: 7 }, (_, position) => ({ position, active: 8, trained: 8, locked: false }));
    expect(gradient(many, [0, 1, 2, 3, 4, 5, 6], 2, 5).map(({ active }) => active)).toEqual([2, 3, 3, 4, 4, 5, 5]);
    expect(gradient(many, [4], 3, 8)).toEqual([{ position: 4, active: 3 }]);
  });

  test('a point of the front changes what differs', () => {
    expect(allocated(layers, [3, 2, 4, 5])).toEqual([{ position: 1, active: 2 }]);
  });
});

describe('keys of a bar', () => {
  const key = (name: string, held: { shiftKey?: boolean; ctrlKey?: boolean; altKey?: boolean } = {}) =>
    barIntent({ key: name, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, ...held }, 2, 5);

  test('follow the spin button pattern, sideways to other layers', () => {
    expect(key('ArrowUp')).toEqual({ kind: 'step', by: 1 });
    expect(key('PageDown')).toEqual({ kind: 'step', by: -2 });
    expect(key('End')).toEqual({ kind: 'most' });
    expect(key('ArrowLeft')).toEqual({ kind: 'move', to: 1, extend: false });
    expect(key('End', { ctrlKey: true })).toEqual({ kind: 'move', to: 4, extend: false });
    expect(key('ArrowRight', { shiftKey: true })).toEqual({ kind: 'move', to: 3, extend: true });
    expect(key('a', { ctrlKey: true })).toEqual({ kind: 'selectAll' });
  });

  test('leave what belongs to the editor alone', () => {
    expect(key('s', { ctrlKey: true })).toBeUndefined();
    expect(key('ArrowUp', { altKey: true })).toBeUndefined();
    expect(key('Tab')).toBeUndefined();
  });
});

describe('edits on their way', () => {
  test('are shown until they are answered', () => {
    const pending = new PendingEdits();
    pending.add({ kind: 'setBudgets', changes: [{ position: 0, active: 1 }] });
    pending.add({ kind: 'setLocked', locked: [2] });
    const shown = pending.apply(samplePlan, measurements);
    expect(shown.activeExperts?.slice(0, 2)).toEqual([1, 4]);
    expect(shown.locked).toEqual([2]);
    pending.settle(1);
    expect(pending.apply(samplePlan, measurements).activeExperts).toEqual(samplePlan.activeExperts);
    pending.settle(2);
    expect(pending.apply(samplePlan, measurements)).toBe(samplePlan);
  });
});

describe('the map behind the bars', () => {
  test('has the largest number on top, and a scale that leads back to losses', () => {
    const rows = [
      [4, 1, 0],
      [9, -1, 0],
    ];
    const background = sensitivityBackground({ ...lossTable, rows }, layers.slice(0, 2) as never, 3);
    expect([...background.values]).toEqual([0, 0, 1, 0, 2, 3]);
    expect(lossAlong(0, 3, 1)).toBe(9);
    expect(lossAlong(0, 3, 0.5)).toBe(2.25);
  });
});

describe('gestures on experts', () => {
  const rows = [0, 1].map((position) => ({
    position,
    experts: 4,
    least: 2,
    kept: new Set([0, 1, 2, 3]),
    use: [0.5, 0.1, 0.4, 0.02],
  }));

  test('keep at least as many as are active', () => {
    expect(setCells(rows, [0, 1], 4, false)).toEqual([{ position: 0, keep: [2, 3] }]);
    expect(setCells(rows, [4, 5, 6], 4, false)).toEqual([]);
    expect(pruneByRatio(rows, 0.9)).toEqual([0, 1].map((position) => ({ position, keep: [0, 2] })));
  });

  test('prune the least used by share and by threshold', () => {
    expect(pruneByRatio(rows, 0.25)[0]).toEqual({ position: 0, keep: [0, 1, 2] });
    expect(pruneByThreshold(rows, 0.05)[0]).toEqual({ position: 0, keep: [0, 1, 2] });
    expect(pruneByThreshold(rows, 0)).toEqual([]);
    expect(pruneByRatio([{ ...rows[0]!, use: undefined }], 0.5)).toEqual([]);
  });

  test('a pruned expert comes back', () => {
    const pruned = [{ ...rows[0]!, kept: new Set([0, 1]) }];
    expect(setCells(pruned, [3], 4, true)).toEqual([{ position: 0, keep: [0, 1, 3] }]);
  });

  test('a rectangle is the same from any corner', () => {
    expect(cellsIn({ from: { row: 1, column: 2 }, to: { row: 0, column: 1 } }, 4)).toEqual([1, 2, 5, 6]);
  });
});

describe('bits', () => {
  test('of a weight count its share of scales and zero points', () => {
    expect(effectiveBits(4, { group: 32, symmetric: false })).toBe(4 + 16 / 32 + 4 / 32);
    expect(effectiveBits(4, { group: 128, symmetric: true })).toBe(4.125);
    expect(effectiveBits(16, { group: 32, symmetric: false })).toBe(16);
    expect(bitsArithmetic(4, { group: 32, symmetric: false })).toBe(
      '4 (codes) + 16/32 (scales) + 4/32 (zero points) = 4.625 bits a weight.',
    );
  });

  test('average over layers, projections and experts', () => {
    const quantize = {
      method: 'rtn',
      group: 32,
      symmetric: true,
      scope: 'experts' as const,
      seed: 0,
      layers: [4, { gate: 2, up: 2, down: [2, 4] }],
    };
    expect(averageBits(quantize).codes).toBeCloseTo((4 + 4 + 4 + 2 + 2 + 3) / 6, 12);
    expect(averageBits(quantize).effective - averageBits(quantize).codes).toBeCloseTo(0.5, 12);
  });
});
