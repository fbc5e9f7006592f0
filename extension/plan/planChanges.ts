import type { Plan } from '../../engine/protocol/plan';
import type { PlanEditorMessage, PlanMeasurements } from '../../engine/protocol/planEditor';
import { localize } from '../common/localize';
import { editPlanText, type PlanValue } from './planEdits';

type EditMessage = Extract<PlanEditorMessage, { kind: 'setBudgets' | 'setLocked' | 'setKept' | 'setBits' }>;
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

function keptChanges({ changes }: Extract<EditMessage, { kind: 'setKept' }>, plan: Plan): Change[] {
  const kept = changes.map(({ position, keep }): Change => {
    assertPosition(position, plan.prune?.keep.length ?? 0);
    return [['prune', 'keep', position], keep];
  });
  // What was measured was measured with other experts.
  return [...kept, [['prune', 'measuredKl'], undefined], [['prune', 'chosen'], undefined]];
}

function bitsChanges({ changes }: Extract<EditMessage, { kind: 'setBits' }>, plan: Plan): Change[] {
  const rounded = changes.map(({ position, projection, bits }): Change => {
    const layer = plan.quantize?.layers[position];
    assertPosition(position, plan.quantize?.layers.length ?? 0);
    if (projection === undefined) {
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
      return editPlanText(text, keptChanges(edit, plan));
    case 'setBits':
      return editPlanText(text, bitsChanges(edit, plan));
  }
}
