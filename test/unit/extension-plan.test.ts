import { describe, expect, it } from 'vitest';
import { findingCodes } from '../../extension/common/findings';
import type { CheckpointEntry } from '../../extension/config/checkpointStore';
import { matchPlan } from '../../extension/plan/planCheckpoint';
import { planFindings } from '../../extension/plan/planFindings';
import { planEntryMarkdown } from '../../extension/plan/planHoverText';
import { readPlanText } from '../../extension/plan/planText';
import { profileOf, summaryOf } from '../support/checkpointResults';

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
  const file = '/work/plans/a.moeplan.json';

  it('is the one with its fingerprint, whatever it is called', () => {
    const other = checkpoint({ folder: '/work/plans/other', summary: summaryOf({ fingerprint: 'beef' }) });
    const same = checkpoint({ folder: '/far/renamed' });
    expect(matchPlan(plan, file, [other, same])).toEqual({ checkpoint: same, sameFingerprint: true });
  });

  it('is else the one with its name, and then its fingerprint differs', () => {
    const near = checkpoint({ folder: '/work/plans/near', summary: summaryOf({ fingerprint: '1' }) });
    const named = checkpoint({ folder: '/far/mixtral', summary: summaryOf({ fingerprint: '2' }) });
    expect(matchPlan(plan, file, [near, named])).toEqual({ checkpoint: named, sameFingerprint: false });
  });

  it('is else the nearest one', () => {
    const far = checkpoint({ folder: '/far/one', summary: summaryOf({ fingerprint: '1' }) });
    const near = checkpoint({ folder: '/work/plans/two', summary: summaryOf({ fingerprint: '2' }) });
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
});
