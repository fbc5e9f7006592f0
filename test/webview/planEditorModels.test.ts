import { describe, expect, test } from 'vitest';
import '../../webviews/plan-editor/texts';
import { barIntent } from '../../webviews/plan-editor/barKeys';
import { applyPreset, bitsPresets, setBits } from '../../webviews/plan-editor/bitsGestures';
import { averageBits, effectiveBits, remainingExperts } from '../../webviews/plan-editor/bitsModel';
import { bitsArithmetic } from '../../webviews/plan-editor/bitsText';
import { allocated, asTrained, gradient, setAll, stepped } from '../../webviews/plan-editor/budgetGestures';
import { pruneByRatio, pruneByThreshold, setCells } from '../../webviews/plan-editor/expertGestures';
import { cellsIn } from '../../webviews/plan-editor/cellRange';
import { formatScore, knownScores, rankOf, scoreInUse, usualThreshold } from '../../webviews/plan-editor/expertScores';
import { PendingEdits } from '../../webviews/plan-editor/pendingEdits';
import { bestKnown, gatesFor, isForOtherNumbers } from '../../webviews/plan-editor/routingModel';
import { lossAlong, sensitivityBackground } from '../../webviews/plan-editor/sensitivityBackground';
import { lossTable, measurements, prunedPlan, routedPlan, samplePlan } from '../support/planEditorSamples';

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
    scores: [0.5, 0.1, 0.4, 0.02],
  }));

  test('keep at least as many as are active', () => {
    expect(setCells(rows, [0, 1], 4, false)).toEqual([{ position: 0, keep: [2, 3] }]);
    expect(setCells(rows, [4, 5, 6], 4, false)).toEqual([]);
    expect(pruneByRatio(rows, 0.9)).toEqual([0, 1].map((position) => ({ position, keep: [0, 2] })));
  });

  test('prune the lowest scores by share and by threshold', () => {
    expect(pruneByRatio(rows, 0.25)[0]).toEqual({ position: 0, keep: [0, 1, 2] });
    expect(pruneByThreshold(rows, 0.05)[0]).toEqual({ position: 0, keep: [0, 1, 2] });
    expect(pruneByThreshold(rows, 0)).toEqual([]);
    expect(pruneByRatio([{ ...rows[0]!, scores: undefined }], 0.5)).toEqual([]);
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
    expect(effectiveBits(4, { group: 32, symmetric: false }, 'up')).toBe(4 + 16 / 32 + 4 / 32);
    expect(effectiveBits(4, { group: 128, symmetric: true }, 'up')).toBe(4.125);
    expect(effectiveBits(16, { group: 32, symmetric: false }, 'down')).toBe(16);
    expect(bitsArithmetic(4, { group: 32, symmetric: false }, 'gate')).toBe(
      '4 (codes) + 16/32 (scales) + 4/32 (zero points) = 4.625 bits a weight.',
    );
    const groups = { group: 128, groups: { down: 32 }, symmetric: true };
    expect(effectiveBits(4, groups, 'gate')).toBe(4.125);
    expect(effectiveBits(4, groups, 'down')).toBe(4.5);
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
    const { parts } = averageBits(quantize);
    expect(parts.map(({ bits }) => bits)).toEqual([2, 4]);
    expect(parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
  });

  const mixed = { layers: [4, { gate: 3, up: 3, down: [2, 4, 2] }] };

  test('of single experts are lists only where they differ', () => {
    const at = (position: number, order: number) => ({ position, projection: 'down' as const, order });
    expect(setBits(mixed, [2, 3], [at(0, 1)], 8)).toEqual([{ position: 0, projection: 'down', bits: [4, 8] }]);
    expect(setBits(mixed, [2, 3], [at(1, 0), at(1, 2)], 4)).toEqual([{ position: 1, projection: 'down', bits: 4 }]);
    expect(setBits(mixed, [2, 3], [at(1, 1)], 4)).toEqual([]);
    const whole = { position: 1, projection: 'up' as const };
    expect(setBits(mixed, [2, 3], [whole], 8)).toEqual([{ ...whole, bits: 8 }]);
    expect(setBits({ layers: [{ up: 4 }] }, [2], [{ position: 0, projection: 'gate' }], 8)).toEqual([]);
  });

  test('by a preset change what differs', () => {
    const ends = bitsPresets.find(({ name }) => name === 'planPresetEnds')!;
    expect(applyPreset({ layers: [4, 4, { down: 4 }] }, ends)).toEqual([
      ...['gate', 'up', 'down'].map((projection) => ({ position: 0, projection, bits: 8 })),
      { position: 2, projection: 'down', bits: 8 },
    ]);
  });

  test('are listed for the experts that are left, of merged ones for the first', () => {
    const plan = {
      ...samplePlan,
      prune: { method: 'reap', keep: [[1, 3, 4]], seed: 0 },
      merge: { method: 'hc-smoe', groups: [[[1, 4], [3]]], seed: 0 },
    };
    expect(remainingExperts(plan, [6])).toEqual([[1, 3]]);
    expect(remainingExperts({ ...plan, merge: { ...plan.merge, options: { router: 'all' } } }, [6])).toEqual([
      [1, 3, 4],
    ]);
    expect(remainingExperts(samplePlan, [3])).toEqual([[0, 1, 2]]);
  });
});

describe('scores of experts', () => {
  const { plan, measurements: known, scores } = prunedPlan();
  const view = { measurements: known, scores: new Map(scores.map((each) => [each.method as string, each])) };

  test('are the use and every method whose numbers are there; counting choices again is no score of its own', () => {
    expect(knownScores(view).map(({ name }) => name)).toEqual(['use', 'reap', 'ean']);
    const counted = { ...scores[0]!, method: 'frequency' as const };
    const repeated = {
      measurements: { ...known, scored: ['frequency' as const] },
      scores: new Map([['frequency', counted]]),
    };
    expect(knownScores(repeated).map(({ name }) => name)).toEqual(['use']);
    const ofTask = { ...repeated, scores: new Map([['frequency', { ...counted, tasks: ['code'] }]]) };
    expect(knownScores(ofTask).map(({ name }) => name)).toEqual(['use', 'frequency']);
    expect(knownScores({ ...view, scores: new Map() }).map(({ name }) => name)).toEqual(['use']);
    expect(knownScores(view)[1]).toBe(knownScores(view)[1]);
  });

  test('begin with that of the plan, unless it is outdated', () => {
    const all = knownScores(view);
    expect(scoreInUse(all, undefined, plan)?.name).toBe('reap');
    expect(scoreInUse(all, 'ean', plan)?.name).toBe('ean');
    expect(scoreInUse(all, 'gone', samplePlan)?.name).toBe('use');
    const stale = all.map((score) => ({ ...score, stale: score.name !== 'ean' }));
    expect(scoreInUse(stale, undefined, plan)?.name).toBe('ean');
  });

  test('are written in their unit, and ranked with ties at the better place', () => {
    const [use, reap] = knownScores(view);
    expect([formatScore(use!, 0.125), formatScore(reap!, 0.02345)]).toEqual(['12.5%', '0.0235']);
    expect([0, 1, 2, 3].map((expert) => rankOf([5, 7, 7, 1], expert))).toEqual([3, 1, 1, 4]);
    const threshold = usualThreshold(reap!);
    const below = reap!.rows.flat().filter((score) => score < threshold).length;
    expect(below / reap!.rows.flat().length).toBeCloseTo(0.1, 1);
  });
});

describe('routing policies', () => {
  const { plan, measurements: known, scale } = routedPlan();
  const layersFor = (active: readonly number[]) =>
    active.map((each, position) => ({ position, active: each, trained: 8, name: String(position) })) as never;
  const view = { plan, measurements: known, layers: layersFor(plan.activeExperts!) };

  test('take the factors that were measured for the numbers of the plan, else the newest', () => {
    const newer = { ...known.gates[1]!, values: scale.map(() => 2), activeExperts: scale.map(() => 2) };
    const gates = [...known.gates, newer];
    expect(bestKnown('scale', { ...view, measurements: { ...known, gates } })?.values).toEqual(scale);
    const other = { ...view, layers: layersFor(scale.map(() => 7)), measurements: { ...known, gates } };
    expect(bestKnown('scale', other)?.values).toEqual(newer.values);
    expect(isForOtherNumbers(view)).toBe(false);
    expect(isForOtherNumbers(other)).toBe(true);
    expect(isForOtherNumbers({ ...view, measurements: { ...known, gates: [] } })).toBeUndefined();
  });

  test('become the section of the plan, with what they were measured on', () => {
    expect(gatesFor('scale', view)).toEqual({ scale, calibrationTokens: 8192, seed: 0 });
    expect(gatesFor('reference', view)).toEqual({ reference: scale.map(() => 8), seed: 0 });
    expect(gatesFor('none', view)).toBeUndefined();
    expect(gatesFor('scale', { ...view, measurements: { ...known, gates: [] } })).toBeUndefined();
  });

  test('are shown while their edit is on its way', () => {
    const pending = new PendingEdits();
    pending.add({ kind: 'setGates' });
    expect(pending.apply(plan, known)).not.toHaveProperty('gates');
    pending.add({ kind: 'setGates', gates: { reference: [8], seed: 0 } });
    expect(pending.apply(plan, known).gates).toEqual({ reference: [8], seed: 0 });
  });
});
