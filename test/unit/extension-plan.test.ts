import { describe, expect, it } from 'vitest';
import { findingCodes } from '../../extension/common/findings';
import type { CheckpointEntry } from '../../extension/config/checkpointStore';
import { matchPlan } from '../../extension/plan/planCheckpoint';
import { planFindings } from '../../extension/plan/planFindings';
import { listedLayerMarkdown, planEntryMarkdown } from '../../extension/plan/planHoverText';
import { planLine } from '../../extension/plan/planMeasurements';
import { readPlanText } from '../../extension/plan/planText';
import type { Plan } from '../../engine/protocol/plan';
import { budgetOf, evaluationOf, profileOf, summaryOf } from '../support/checkpointResults';

const source = { checkpoint: 'mixtral', family: 'mixtral', fingerprint: 'f00d', experts: 8, activeExperts: 2 };
const textOf = (content: object): string => JSON.stringify(content, undefined, 2);
const valid = textOf({ version: 1, source, activeExperts: [1, 2] });

function checkpoint(change: Partial<CheckpointEntry> = {}): CheckpointEntry {
  const summary = summaryOf();
  return { folder: '/models/mixtral', label: 'mixtral', state: 'ready', evaluations: [], summary, ...change };
}

const matched = { checkpoint: checkpoint(), sameFingerprint: true };

describe('reading a plan document', () => {
  it('gives the plan and the places of its numbers', () => {
    const { plan, issues, activeExpertsEntries } = readPlanText(valid);
    expect(issues).toEqual([]);
    expect(plan?.activeExperts).toEqual([1, 2]);
    expect(activeExpertsEntries.map(({ offset, length }) => valid.slice(offset, offset + length))).toEqual(['1', '2']);
  });

  it('puts an issue on the value at fault, or on the nearest thing above it', () => {
    const text = textOf({ version: 1, activeExperts: [1, 0] });
    const [issue] = readPlanText(text).issues;
    expect(text.slice(issue!.span.offset, issue!.span.offset + issue!.span.length)).toBe('0');
    const incomplete = textOf({ version: 1, source: { checkpoint: 'x' } });
    const [missing] = readPlanText(incomplete).issues;
    expect(incomplete.slice(missing!.span.offset)).toMatch(/^\{\s*"checkpoint": "x"/);
  });

  it('of another version is an issue', () => {
    expect(readPlanText(textOf({ version: 2 })).issues).toHaveLength(1);
  });

  it('leaves broken JSON to the editor', () => {
    expect(readPlanText('{"activeExperts": [1, ')).toMatchObject({ plan: undefined, issues: [] });
  });
});

describe('the checkpoint of a plan', () => {
  const plan = readPlanText(valid).plan;
  const file = '/models/plans/a.moeplan.json';

  it('is the one with its fingerprint, whatever it is called', () => {
    const other = checkpoint({ folder: '/models/plans/other', summary: summaryOf({ fingerprint: 'beef' }) });
    const same = checkpoint({ folder: '/far/renamed' });
    expect(matchPlan(plan, file, [other, same])).toEqual({ checkpoint: same, sameFingerprint: true });
  });

  it('is the one with its name among several of the same weights: the others are what the plan was applied to', () => {
    const applied = checkpoint({ folder: '/models/plans/model-huggingface' });
    const named = checkpoint({ folder: `/far/${plan?.source?.checkpoint ?? ''}` });
    expect(matchPlan(plan, file, [applied, named])).toEqual({ checkpoint: named, sameFingerprint: true });
  });

  it('is else the one with its name, and then its fingerprint differs', () => {
    const near = checkpoint({ folder: '/models/plans/near', summary: summaryOf({ fingerprint: '1' }) });
    const named = checkpoint({ folder: '/far/mixtral', summary: summaryOf({ fingerprint: '2' }) });
    expect(matchPlan(plan, file, [near, named])).toEqual({ checkpoint: named, sameFingerprint: false });
  });

  it('is else the nearest one', () => {
    const far = checkpoint({ folder: '/far/one', summary: summaryOf({ fingerprint: '1' }) });
    const near = checkpoint({ folder: '/models/plans/two', summary: summaryOf({ fingerprint: '2' }) });
    expect(matchPlan(plan, file, [far, near])?.checkpoint).toBe(near);
  });

  it('is not called another one while a checkpoint is unread', () => {
    const read = checkpoint({ summary: summaryOf({ fingerprint: 'beef' }) });
    const unread: CheckpointEntry = { folder: '/models/b', label: 'b', state: 'inspecting', evaluations: [] };
    expect(matchPlan(plan, file, [read, unread])?.sameFingerprint).toBeUndefined();
  });

  it('of a plan without a source is not judged', () => {
    const anonymous = readPlanText(textOf({ activeExperts: [1, 2] })).plan;
    expect(matchPlan(anonymous, file, [checkpoint()])?.sameFingerprint).toBeUndefined();
    expect(matchPlan(plan, file, [])).toBeUndefined();
  });
});

describe('findings', () => {
  const codes = (content: object, match: Parameters<typeof planFindings>[1] = matched): string[] =>
    planFindings(readPlanText(textOf(content)), match).map(({ code }) => code);

  it('are none for a sound plan', () => {
    expect(codes({ version: 1, source, activeExperts: [1, 2] })).toEqual([]);
  });

  it('count MoE layers, not decoder layers', () => {
    expect(codes({ activeExperts: [1, 2, 2] })).toEqual([findingCodes.layerCount]);
  });

  it('tell more than trained from more than there are', () => {
    expect(codes({ activeExperts: [3, 9] })).toEqual([findingCodes.budgetAboveActive, findingCodes.budgetAboveExperts]);
  });

  it('of another checkpoint say only that', () => {
    const match = { checkpoint: checkpoint(), sameFingerprint: false };
    expect(codes({ version: 1, source, activeExperts: [9] }, match)).toEqual([findingCodes.otherCheckpoint]);
  });

  it('need no checkpoint for what the format says', () => {
    expect(codes({ speed: 1 }, undefined)).toEqual([findingCodes.malformedPlan]);
  });
});

describe('the hover over a number', () => {
  it('names the decoder layer and the sensitivity there', () => {
    const profile = profileOf({
      layers: profileOf().layers.map((layer, position) => ({ ...layer, index: position + 1 })),
    });
    const text = planEntryMarkdown(1, 1, checkpoint({ profile }));
    expect(text).toContain('**Decoder layer 2**: 1 of 2 active experts, 8 in all');
    expect(text).toContain('Sensitivity at k=1: 0.6 per token (relative squared error 30.0 %)');
  });

  it('says when nothing was measured, and nothing beyond the layers', () => {
    expect(planEntryMarkdown(0, 1, checkpoint())).toContain('Not profiled yet.');
    expect(planEntryMarkdown(2, 1, checkpoint())).toBeUndefined();
  });

  const table = [
    { layer: 1, loss: [0.02, 0] },
    { layer: 2, loss: [0.05, 0] },
  ];
  const file = '/plans/small.moeplan.json';
  const planOf = (activeExperts: number[], change: Partial<NonNullable<Plan['budget']>> = {}): Plan => ({
    version: 1,
    activeExperts,
    budget: { objective: 'auto', solver: 'exact', total: 3, predicted: 0.02, seed: 0, ...change },
  });

  it('explains which rule decided, what a neighbour would cost, what is saved and what was measured', () => {
    const budget = budgetOf({ objective: 'auto', calibrationTokens: 4096, table, plan: file });
    const entry = checkpoint({ budget, evaluations: [evaluationOf()] });
    const plan = planOf([1, 2], { chosen: 'end-to-end', measuredKl: 0.0214 });
    const first = planEntryMarkdown(0, 1, entry, { plan, file });
    expect(first).toContain('Decided by `auto`: the allocation of `end-to-end` measured best of all candidates.');
    expect(first).toContain('Predicted damage at k=1: 0.02 (KL in nats per token); one more −0.02');
    expect(first).not.toContain('one fewer');
    expect(first).toContain("Saves 50.0 % of this layer's expert FLOPs");
    expect(first).toContain(
      'Last evaluation of this plan: perplexity +8.3 % (3.250 against 3.000), accuracy −7.7 points',
    );
    expect(first).not.toMatch(/Stale|Changed/);
    const second = planEntryMarkdown(1, 2, entry, { plan, file });
    expect(second).toContain('one fewer +0.05');
    expect(second).toContain("Saves none of this layer's expert FLOPs");
  });

  it('tells numbers changed by hand, and measurements made before', () => {
    const entry = checkpoint({ budget: budgetOf({ table, plan: file }), evaluations: [evaluationOf()] });
    const text = planEntryMarkdown(1, 1, entry, { plan: planOf([1, 1], { objective: 'lexi' }), file });
    expect(text).toContain('Decided by the objective `lexi` with the `exact` solver.');
    expect(text).toContain('Changed by hand: the run chose 2 here.');
    expect(text).toContain('the numbers or the checkpoint changed after the evaluation');
    expect(text).toContain('Predicted damage at k=1: 0.05 (`lexi`)');
  });

  it('does not predict from a budget of other weights', () => {
    const entry = checkpoint({ budget: budgetOf({ table, fingerprint: 'beef' }) });
    expect(planEntryMarkdown(0, 1, entry)).not.toContain('Predicted');
  });

  it('says so when auto had nothing to measure on', () => {
    const plan = planOf([1, 2], { chosen: 'relative-squared' });
    expect(planEntryMarkdown(0, 1, checkpoint(), { plan, file })).toContain('`auto` had no text to measure on');
  });

  it('reads lists of one number per decoder layer and of one per MoE layer', () => {
    expect(listedLayerMarkdown(1, 3, 1, checkpoint())).toContain('**Decoder layer 1**: 1 of 2');
    expect(listedLayerMarkdown(1, 2, 1, checkpoint())).toContain('**Decoder layer 2**: 1 of 2');
    expect(listedLayerMarkdown(0, 3, 1, checkpoint())).toBeUndefined();
    expect(listedLayerMarkdown(0, 9, 1, checkpoint())).toBeUndefined();
  });

  describe('and the end of its line', () => {
    const measured = { kl: 0.0214, logPerplexity: 1.2, accuracy: 0.5 };
    const plan = planOf([1, 2], { chosen: 'search', measuredKl: 0.0214, calibrationTokens: 24576 });

    it('sums up average, saving and what was measured', () => {
      const entry = checkpoint({ evaluations: [evaluationOf()] });
      expect(planLine(plan, file, entry)).toEqual({
        text: '1.50 of 2 on average · 25.0 % of expert FLOPs saved · measured KL 0.0214 on 24,576 tokens · perplexity +8.3 % (3.250 against 3.000), accuracy −7.7 points',
        stale: false,
      });
    });

    it('is stale once the list was edited, also where the total stayed', () => {
      const swapped = { ...plan, activeExperts: [2, 1] };
      const run = { fingerprint: 'f00d', layers: [1, 2], activeExperts: [1, 2], total: 3, measured };
      expect(planLine(swapped, file, checkpoint({ measuredBudgets: [run] }))).toMatchObject({ stale: true });
      expect(planLine(plan, file, checkpoint({ measuredBudgets: [run] }))).toMatchObject({ stale: false });
      const reduced = planLine({ ...plan, activeExperts: [1, 1] }, file, checkpoint());
      expect(reduced?.text).toMatch(/50\.0 % of expert FLOPs saved · measured KL 0\.0214 on 24,576 tokens · stale$/);
    });

    it('drops a measurement of older numbers when there is one of these', () => {
      const evaluation = evaluationOf({ activeExperts: [1, 1] });
      const line = planLine({ ...plan, activeExperts: [1, 1] }, file, checkpoint({ evaluations: [evaluation] }));
      expect(line).toMatchObject({ stale: false });
      expect(line?.text).not.toContain('KL');
    });

    it('is missing where the list does not fit the checkpoint', () => {
      expect(planLine({ ...plan, activeExperts: [1] }, file, checkpoint())).toBeUndefined();
    });
  });
});
