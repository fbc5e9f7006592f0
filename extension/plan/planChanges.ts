import type { Plan } from '../../engine/protocol/plan';
import type { PlanEditorMessage, PlanMeasurements } from '../../engine/protocol/planEditor';
import { localize } from '../common/localize';
import { editPlanText, type PlanValue } from './planEdits';

type EditMessage = Extract<PlanEditorMessage, { readonly edit: number }>;
type Change = readonly [readonly (string | number)[], PlanValue | undefined];

/** A refused edit: what the person reads. */
export class RefusedEdit extends Error {
  override readonly name = 'RefusedEdit';
}

function assertPosition(position: number, count: number): void {
  if (position >= count) {
    throw new RefusedEdit(localize('The plan has only {count} MoE layers now.', { count }));
  }
}

function budgetChanges(
  { changes, solved }: Extract<EditMessage, { kind: 'setBudgets' }>,
  plan: Plan,
  { layers, tables }: PlanMeasurements,
): Change[] {
  const numbers = [...(plan.activeExperts ?? layers.map(({ trained }) => trained))];
  for (const { position, active } of changes) {
    assertPosition(position, numbers.length);
    numbers[position] = active;
  }
  const total = numbers.reduce((sum, each) => sum + each, 0);
  const table = tables.find(({ name }) => name === solved?.table);
  if (solved === undefined || table === undefined || total !== solved.total) {
    return [[['activeExperts'], numbers]];
  }
  // What an earlier choice measured does not hold for this one.
  const budget = {
    objective: table.objective,
    solver: 'exact',
    total,
    predicted: solved.predicted,
    samples: table.input === undefined ? undefined : table.tokens,
    chosen: undefined,
    measuredKl: undefined,
    calibrationTokens: table.input === undefined ? table.tokens : undefined,
    seed: plan.budget?.seed ?? 0,
  };
  return [
    [['activeExperts'], numbers],
    [['budget'], budget],
  ];
}

/** What the plan calls experts that a person chose one by one. */
const byHand = 'by-hand';

function keptChanges(
  { changes, by }: Extract<EditMessage, { kind: 'setKept' }>,
  plan: Plan,
  { layers }: PlanMeasurements,
): Change[] {
  const { prune } = plan;
  const count = prune?.keep.length ?? layers.length;
  changes.forEach(({ position }) => assertPosition(position, count));
  if (prune === undefined) {
    const keep = layers.map(({ experts }) => Array.from({ length: experts }, (_, expert) => expert));
    for (const change of changes) {
      keep[change.position] = change.keep;
    }
    return [[['prune'], { method: by?.method ?? byHand, ratio: by?.ratio, keep, ...evidenceOf(by), seed: 0 }]];
  }
  const kept = changes.map(({ position, keep }): Change => [['prune', 'keep', position], keep]);
  // What was measured was measured with other experts.
  const measured: Change[] = [
    [['prune', 'measuredKl'], undefined],
    [['prune', 'chosen'], undefined],
  ];
  const decided: Record<string, PlanValue | undefined> =
    by === undefined
      ? {}
      : { method: by.method, ratio: by.ratio, ...evidenceOf(by), tasks: undefined, statistics: undefined };
  return [...kept, ...measured, ...Object.entries(decided).map(([key, value]): Change => [['prune', key], value])];
}

function evidenceOf(by: Extract<EditMessage, { kind: 'setKept' }>['by']): Record<string, PlanValue | undefined> {
  return { calibrationTokens: by?.calibrationTokens };
}

function gatesChanges({ gates }: Extract<EditMessage, { kind: 'setGates' }>, plan: Plan): Change[] {
  if (gates === undefined || plan.gates === undefined) {
    return [[['gates'], gates]];
  }
  const keys = new Set([...Object.keys(plan.gates), ...Object.keys(gates)] as (keyof typeof gates)[]);
  return [...keys].map((key): Change => [['gates', key], gates[key]]);
}

function bitsChanges({ changes }: Extract<EditMessage, { kind: 'setBits' }>, plan: Plan): Change[] {
  const rounded = changes.map(({ position, projection, bits }): Change => {
    const layer = plan.quantize?.layers[position];
    assertPosition(position, plan.quantize?.layers.length ?? 0);
    if (projection === undefined) {
      if (typeof bits !== 'number') {
        throw new RefusedEdit(localize('Bits of single experts belong to a projection.'));
      }
      return [['quantize', 'layers', position], bits];
    }
    return typeof layer === 'object'
      ? [['quantize', 'layers', position, projection], bits]
      : [
          ['quantize', 'layers', position],
          { gate: layer ?? bits, up: layer ?? bits, down: layer ?? bits, [projection]: bits },
        ];
  });
  return [...rounded, [['quantize', 'effectiveBits'], undefined]];
}

/**
 * The text of a plan after an edit of the page.
 * @throws RefusedEdit where the plan changed so that the edit makes no sense any more
 */
export function planAfter(text: string, edit: EditMessage, plan: Plan, measurements: PlanMeasurements): string {
  switch (edit.kind) {
    case 'setBudgets':
      return editPlanText(text, budgetChanges(edit, plan, measurements));
    case 'setLocked':
      return editPlanText(text, [[['locked'], edit.locked.length === 0 ? undefined : edit.locked]]);
    case 'setKept':
      return editPlanText(text, keptChanges(edit, plan, measurements));
    case 'setBits':
      return editPlanText(text, bitsChanges(edit, plan));
    case 'setGates':
      return editPlanText(text, gatesChanges(edit, plan));
  }
}
