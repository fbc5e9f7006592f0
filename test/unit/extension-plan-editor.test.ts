import { parse } from 'jsonc-parser';
import { describe, expect, it } from 'vitest';
import { planSchema, type Plan } from '../../engine/protocol/plan';
import type { KnownGates, PlanEditorMessage, PlanMeasurements } from '../../engine/protocol/planEditor';
import { solveBudgets } from '../../engine/jobs/solveBudgets';
import { planAfter, RefusedEdit } from '../../extension/plan/planChanges';
import { readPlanDocument } from '../../extension/plan/planDocumentText';
import { editPlanText, smallestReplacement } from '../../extension/plan/planEdits';
import { FrontSolver, frontProblem } from '../../extension/plan/planFront';
import { lossTables, planMeasurements } from '../../extension/plan/planMeasurementsMessage';
import { planScores } from '../../extension/plan/planScores';
import { budget as budgetResult, profile, summary } from '../support/webviewSnapshots';
import { measurements, samplePlan } from '../support/planEditorSamples';

const commented = `{
  // by hand
  "version": 1,
  "activeExperts": [4, 3, /* the middle */ 2, 4],
  "notes": "keep me"
}
`;

type EditMessage = Parameters<typeof planAfter>[1];

function after(text: string, edit: Omit<Extract<PlanEditorMessage, { edit: number }>, 'edit'>, plan?: Plan): string {
  const parsed = plan ?? planSchema.parse(parse(text));
  return planAfter(text, { ...edit, edit: 1 } as EditMessage, parsed, measurements);
}

describe('edits of a plan text', () => {
  it('change one number and nothing else, comments included', () => {
    const text = after(commented, { kind: 'setBudgets', changes: [{ position: 2, active: 1 }] } as never);
    expect(text).toBe(commented.replace('*/ 2', '*/ 1'));
    expect(smallestReplacement(commented, text)).toEqual({
      offset: commented.indexOf('*/ 2') + 3,
      length: 1,
      text: '1',
    });
  });

  it('keep the layout of a list on many lines, tabs and line ends', () => {
    const text = '{\r\n\t"activeExperts": [\r\n\t\t4,\r\n\t\t3\r\n\t]\r\n}\r\n';
    expect(editPlanText(text, [[['activeExperts'], [4, 1]]])).toBe(text.replace('3', '1'));
    const locked = editPlanText(text, [[['locked'], [0, 1]]]);
    expect(locked).toBe('{\r\n\t"activeExperts": [\r\n\t\t4,\r\n\t\t3\r\n\t],\r\n\t"locked": [0, 1]\r\n}\r\n');
    expect(editPlanText(locked, [[['locked'], undefined]])).toBe(text);
  });

  it('write numbers into a plan that has none, on one line', () => {
    const text = after('{\n  "version": 1\n}\n', {
      kind: 'setBudgets',
      changes: [{ position: 0, active: 2 }],
    } as never);
    expect(text).toContain('  "activeExperts": [2, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]\n');
  });

  it('say how a point of the front was chosen, and forget what was measured of another', () => {
    const measured = {
      ...samplePlan,
      budget: { ...samplePlan.budget!, chosen: 'search', measuredKl: 0.02, calibrationTokens: 100 },
    };
    const text = JSON.stringify(measured, undefined, 2);
    const changes = [{ position: 0, active: 4 }];
    const edited = planSchema.parse(
      JSON.parse(
        after(text, {
          kind: 'setBudgets',
          changes,
          solved: { table: 'relative-squared', predicted: 0.1, total: 61 },
        } as never),
      ),
    );
    expect(edited.activeExperts![0]).toBe(4);
    expect(edited.budget).toEqual({
      objective: 'relative-squared',
      solver: 'exact',
      total: 61,
      predicted: 0.1,
      samples: 16384,
      seed: 0,
    });
    const other = { kind: 'setBudgets', changes, solved: { table: 'relative-squared', predicted: 0.1, total: 99 } };
    expect(planSchema.parse(JSON.parse(after(text, other as never))).budget).toEqual(measured.budget);
  });

  it('of layers that are gone are refused', () => {
    const edit = { kind: 'setBudgets', changes: [{ position: 7, active: 1 }] };
    expect(() => after(commented, edit as never)).toThrow(RefusedEdit);
  });

  it('keep and prune experts layer by layer, in one line each', () => {
    const plan: Plan = {
      version: 1,
      prune: {
        method: 'reap',
        keep: [
          [0, 1, 2],
          [0, 3],
        ],
        seed: 0,
        measuredKl: 0.1,
        chosen: 'reap',
      },
    };
    const text = JSON.stringify(plan, undefined, 2);
    const edited = after(text, { kind: 'setKept', changes: [{ position: 0, keep: [0, 2] }] } as never);
    expect(edited).toContain('[0, 2]');
    const { prune } = planSchema.parse(JSON.parse(edited));
    expect(prune).toEqual({
      method: 'reap',
      keep: [
        [0, 2],
        [0, 3],
      ],
      seed: 0,
    });
  });

  it('start a prune section where the plan has none, and say which score decided', () => {
    const text = '{\n  "version": 1\n}\n';
    const changes = [{ position: 1, keep: [0, 5] }];
    const byHand = planSchema.parse(JSON.parse(after(text, { kind: 'setKept', changes } as never)));
    const all = Array.from({ length: 32 }, (_, expert) => expert);
    expect(byHand.prune).toEqual({
      method: 'by-hand',
      keep: measurements.layers.map((_, layer) => (layer === 1 ? [0, 5] : all)),
      seed: 0,
    });
    const by = { method: 'ean', ratio: 0.5, calibrationTokens: 99 };
    const followed = planSchema.parse(JSON.parse(after(text, { kind: 'setKept', changes, by } as never)));
    expect(followed.prune).toMatchObject(by);
    const before = { ...byHand, prune: { ...byHand.prune!, tasks: ['code'], statistics: 'hash', ratio: 0.1 } };
    const again = { kind: 'setKept', changes, by: { method: 'reap' } };
    const { prune } = planSchema.parse(JSON.parse(after(JSON.stringify(before, undefined, 2), again as never)));
    expect(prune).toEqual({ method: 'reap', keep: byHand.prune!.keep, seed: 0 });
    expect(() => after(text, { kind: 'setKept', changes: [{ position: 12, keep: [0] }] } as never)).toThrow(
      RefusedEdit,
    );
  });

  it('switch the routing policy, and leave nothing of the one before', () => {
    const gates = { scale: [1.25, 1.5], calibrationTokens: 512, seed: 3 };
    const text = JSON.stringify({ version: 1, activeExperts: [1, 2], gates }, undefined, 2);
    const off = after(text, { kind: 'setGates' } as never);
    expect(planSchema.parse(JSON.parse(off))).toEqual({ version: 1, activeExperts: [1, 2] });
    const reference = { reference: [8, 8], seed: 0 };
    expect(planSchema.parse(JSON.parse(after(text, { kind: 'setGates', gates: reference } as never))).gates).toEqual(
      reference,
    );
    expect(after(off, { kind: 'setGates', gates } as never)).toContain('"scale": [1.25, 1.5]');
  });

  it('give one projection of a uniform layer bits of its own', () => {
    const quantize = {
      method: 'gptq',
      group: 32,
      symmetric: false,
      scope: 'experts' as const,
      seed: 0,
      layers: [4, 4],
    };
    const text = JSON.stringify({ version: 1, quantize: { ...quantize, effectiveBits: 4.6 } }, undefined, 2);
    const edited = after(text, { kind: 'setBits', changes: [{ position: 1, projection: 'down', bits: 2 }] } as never);
    expect(planSchema.parse(JSON.parse(edited)).quantize).toEqual({
      ...quantize,
      layers: [4, { gate: 4, up: 4, down: 2 }],
    });
    const list = { position: 1, projection: 'down', bits: [2, 4] };
    const single = planSchema.parse(JSON.parse(after(edited, { kind: 'setBits', changes: [list] } as never)));
    expect(single.quantize?.layers[1]).toEqual({ gate: 4, up: 4, down: [2, 4] });
    const whole = { kind: 'setBits', changes: [{ position: 1, bits: [2, 4] }] };
    expect(() => after(edited, whole as never)).toThrow(RefusedEdit);
  });

  it('are the smallest replacement that leads from text to text', () => {
    for (const [before, wanted] of [
      ['aXbcb', 'aYYbcb'],
      ['aaa', 'aa'],
      ['', 'new'],
      ['gone', ''],
    ] as const) {
      const { offset, length, text } = smallestReplacement(before, wanted)!;
      expect(before.slice(0, offset) + text + before.slice(offset + length)).toBe(wanted);
    }
    expect(smallestReplacement('same', 'same')).toBeUndefined();
  });
});

describe('reading a plan document', () => {
  it('allows comments and trailing commas, as the engine does', () => {
    expect(readPlanDocument(commented.replace('4]', '4,]')).plan?.activeExperts).toEqual([4, 3, 2, 4]);
  });

  it.each([
    ['{\n  "version": 1,\n  "activeExperts": [1, 2\n', 4],
    ['{\n  "version": 1,\n  "activeExperts": [1, 0]\n}', 3],
    ['{\n  "version": 1,\n\n  "speed": 9\n}', 1],
    ['', 1],
  ])('names the line of a problem: %j', (text, line) => {
    const { problem, plan } = readPlanDocument(text);
    expect(plan).toBeUndefined();
    expect(problem?.line).toBe(line);
    expect(problem?.message).not.toBe('');
  });
});

describe('what is known about the checkpoint', () => {
  const entry = {
    folder: '/m/olmoe-text',
    label: 'olmoe-text',
    state: 'ready' as const,
    summary,
    profile,
    evaluations: [],
  };
  const match = { checkpoint: entry, sameFingerprint: true };

  it('is layers with sizes and a table for each measure', () => {
    const known = planMeasurements(samplePlan, '/m/a.moeplan.json', match, true);
    expect(known.state).toBe('ready');
    expect(known.layers).toHaveLength(12);
    expect(known.layers[3]).toMatchObject({ index: 3, experts: 32, trained: 8, expertBytes: 3_932_160 / 32 });
    expect(known.tables.map(({ name }) => name)).toEqual(['relative-squared', 'lexi']);
    expect(known.tables[1]?.rows[2]).toEqual(profile.layers[2]?.raw);
  });

  it('puts the table of a budget run first, and shows no numbers twice', () => {
    const table = profile.layers.map(({ index, raw }) => ({ layer: index, loss: [...raw] }));
    const names = lossTables({ ...entry, budget: { ...budgetResult, table } }, measurements.layers).map(
      ({ name, objective }) => `${name} ${objective}`,
    );
    expect(names).toEqual(['budget lexi', 'relative-squared relative-squared']);
  });

  it('has no table that lacks a layer', () => {
    const short = { ...profile, layers: profile.layers.slice(1) };
    expect(lossTables({ ...entry, profile: short }, measurements.layers)).toEqual([]);
  });

  it('marks what was measured on other weights', () => {
    const stale = { ...profile, fingerprint: 'b'.repeat(64) };
    expect(lossTables({ ...entry, profile: stale }, measurements.layers).every((table) => table.stale)).toBe(true);
  });

  it('is nothing where the plan is for another model, not here, or not allowed to be read', () => {
    const state = (part: Parameters<typeof planMeasurements>[2], trusted = true): string =>
      planMeasurements(samplePlan, '/m/a.moeplan.json', part, trusted).state;
    expect(state({ ...match, sameFingerprint: false })).toBe('other');
    expect(state(undefined)).toBe('none');
    expect(state(undefined, false)).toBe('untrusted');
    const unread = { folder: entry.folder, label: entry.label, evaluations: [] };
    expect(state({ checkpoint: { ...unread, state: 'inspecting' }, sameFingerprint: undefined })).toBe('reading');
    expect(state({ checkpoint: { ...unread, state: 'failed' }, sameFingerprint: undefined })).toBe('failed');
  });

  it('has the scores of methods that rank every expert of every layer, and says which are outdated', () => {
    const scored = (method: 'reap' | 'ean', fingerprint: string, experts: number) => ({
      fingerprint,
      method,
      title: method,
      rule: '',
      reference: '',
      tasks: [],
      seed: 0,
      finished: '2026-01-01T00:00:00Z',
      layers: measurements.layers.map(({ index }) => ({
        index,
        scores: Array.from({ length: experts }, (_, expert) => expert),
      })),
    });
    const { layers } = planMeasurements(samplePlan, '/m/a.moeplan.json', match, true);
    const expertScores = [scored('reap', summary.fingerprint, 32), scored('ean', 'other', 32)];
    const found = planScores({ expertScores, summary }, layers);
    expect(found.map(({ method, stale }) => [method, stale])).toEqual([
      ['reap', false],
      ['ean', true],
    ]);
    expect(found[0]?.rows).toHaveLength(12);
    expect(planScores({ expertScores: [scored('reap', summary.fingerprint, 31)], summary }, layers)).toEqual([]);
    const known = { ...match, checkpoint: { ...entry, expertScores } };
    expect(planMeasurements(samplePlan, '/m/a.moeplan.json', known, true).scored).toEqual(['reap', 'ean']);
  });

  it('knows what the run that wrote the plan kept, as long as the plan says it is that run', () => {
    const keep = measurements.layers.map(() => [0, 1]);
    const run = { fingerprint: summary.fingerprint, method: 'reap' as const, ratio: 0.5, keep, seed: 0, finished: '' };
    const pruneRuns = [{ ...run, plan: '/m/a.moeplan.json' }];
    const known = (prune: Plan['prune']): PlanMeasurements['prunedTo'] =>
      planMeasurements(
        { ...samplePlan, ...(prune && { prune }) },
        '/m/a.moeplan.json',
        { ...match, checkpoint: { ...entry, pruneRuns } },
        true,
      ).prunedTo;
    expect(known({ method: 'reap', ratio: 0.5, keep, seed: 0 })).toEqual(keep);
    expect(known({ method: 'ean', ratio: 0.5, keep, seed: 0 })).toBeUndefined();
    expect(known(undefined)).toBeUndefined();
  });

  it('knows the routing policies of earlier runs, of the plan before, and the trained reference where routers divide', () => {
    const run = (k: number) => ({
      fingerprint: summary.fingerprint,
      activeExperts: measurements.layers.map(() => k),
      gates: { scale: measurements.layers.map(() => 1 + k / 10), calibrationTokens: 64, seed: 0 },
    });
    const gatesOf = (part: object, seen?: Plan['gates']): KnownGates[] =>
      planMeasurements(samplePlan, '/m/a.moeplan.json', { ...match, checkpoint: { ...entry, ...part } }, true, seen)
        .gates;
    expect(gatesOf({})).toEqual([]);
    const divides = { ...summary, gateReference: { supported: true } };
    expect(gatesOf({ summary: divides }).map(({ policy, values }) => [policy, values[0]])).toEqual([['reference', 8]]);
    const runs = gatesOf({ gateRuns: [run(2), run(3)] });
    expect(runs.map(({ values, activeExperts, tokens }) => [values[0], activeExperts?.[0], tokens])).toEqual([
      [1.2, 2, 64],
      [1.3, 3, 64],
    ]);
    const own = { scale: measurements.layers.map(() => 1.7), seed: 0 };
    expect(gatesOf({ gateRuns: [run(2)] }, own).map(({ values }) => values[0])).toEqual([1.7, 1.2]);
    expect(gatesOf({ gateRuns: [run(2)] }, run(2).gates)).toHaveLength(1);
    expect(gatesOf({}, { scale: [1], seed: 0 })).toEqual([]);
  });

  it('lists evaluations of this plan alone', () => {
    const run = { plan: '/m/a.moeplan.json', fingerprint: summary.fingerprint } as never;
    const other = { plan: '/m/b.moeplan.json', fingerprint: summary.fingerprint } as never;
    const known = planMeasurements(
      samplePlan,
      '/m/a.moeplan.json',
      { ...match, checkpoint: { ...entry, evaluations: [run, other] } },
      true,
    );
    expect(known.evaluations).toHaveLength(1);
  });
});

describe('the front', () => {
  it('keeps locked layers at their numbers, also above the trained one', () => {
    const plan = {
      ...samplePlan,
      activeExperts: samplePlan.activeExperts!.map((each, at) => (at === 4 ? 9 : each)),
      locked: [0, 4],
    };
    const problem = frontProblem(plan, measurements, undefined)!;
    expect(problem.locked).toEqual([
      { position: 0, active: 3 },
      { position: 4, active: 9 },
    ]);
    expect(problem.layers[0]).toMatchObject({ minimum: 3, maximum: 3 });
    expect(problem.layers[4]).toMatchObject({ minimum: 9, maximum: 9 });
    expect(problem.layers[4]?.loss).toHaveLength(9);
    expect(problem.layers[1]).toMatchObject({ minimum: 1, maximum: 8 });
  });

  it('is not asked for without a table, or for a plan that does not fit', () => {
    expect(frontProblem(samplePlan, { ...measurements, tables: [] }, undefined)).toBeUndefined();
    expect(frontProblem({ version: 1, activeExperts: [1] }, measurements, undefined)).toBeUndefined();
  });

  it('is solved once for the same question, and the latest question wins', async () => {
    const shown: number[] = [];
    let asked = 0;
    const waiting: (() => void)[] = [];
    const solver = new FrontSolver(
      async (layers) => {
        asked += 1;
        await new Promise<void>((resolve) => waiting.push(resolve));
        return solveBudgets({ layers: [...layers] });
      },
      (front) => shown.push(front.locked.length),
    );
    const free = frontProblem(samplePlan, measurements, undefined)!;
    const locked = frontProblem({ ...samplePlan, locked: [1] }, measurements, undefined)!;
    const both = [solver.show(free), solver.show(free), solver.show(locked)];
    waiting.reverse().forEach((answer) => answer());
    await Promise.all(both);
    expect(asked).toBe(2);
    expect(shown).toEqual([1]);
    expect(solver.current.points[0]?.activeExperts[1]).toBe(4);
  });

  it('says why there is none, and asks again the next time', async () => {
    let fails = true;
    const solver = new FrontSolver(
      (layers) => (fails ? Promise.reject(new Error('engine gone')) : solveBudgets({ layers: [...layers] })),
      () => undefined,
    );
    const problem = frontProblem(samplePlan, measurements, 'lexi')!;
    await solver.show(problem);
    expect(solver.current).toMatchObject({ points: [], reason: 'engine gone' });
    fails = false;
    await solver.show(problem);
    expect(solver.current.points.length).toBe(12 * 7 + 1);
  });
});
