import type { Plan } from '../../engine/protocol/plan';
import type { PlanEditorMessage, PlanMeasurements } from '../../engine/protocol/planEditor';
import { numbersOf } from './layerState';

export type EditMessage = Extract<PlanEditorMessage, { readonly edit: number }>;
type WithoutNumber<Message> = Message extends unknown ? Omit<Message, 'edit'> : never;
/** An edit before it has its number. */
export type NewEdit = WithoutNumber<EditMessage>;

/** Bits of weights that are left as they are. */
const unrounded = 16;

function afterEdit(plan: Plan, edit: EditMessage, measurements: PlanMeasurements): Plan {
  switch (edit.kind) {
    case 'setBudgets': {
      const activeExperts = [...(numbersOf(plan, measurements) ?? [])];
      for (const { position, active } of edit.changes) {
        activeExperts[position] = active;
      }
      return { ...plan, activeExperts };
    }
    case 'setLocked':
      return { ...plan, locked: edit.locked };
    case 'setKept': {
      const all = measurements.layers.map(({ experts }) => Array.from({ length: experts }, (_, expert) => expert));
      const { prune = { method: 'by-hand', keep: all, seed: 0 } } = plan;
      const keep = [...prune.keep];
      for (const { position, keep: kept } of edit.changes) {
        keep[position] = kept;
      }
      return { ...plan, prune: { ...prune, keep, method: edit.by?.method ?? prune.method } };
    }
    case 'setBits': {
      if (plan.quantize === undefined) {
        return plan;
      }
      const layers = [...plan.quantize.layers];
      for (const { position, projection, bits } of edit.changes) {
        const before = layers[position];
        if (projection === undefined) {
          layers[position] = typeof bits === 'number' ? bits : (before ?? unrounded);
          continue;
        }
        const spread = typeof before === 'object' ? before : { gate: before, up: before, down: before };
        layers[position] = { ...spread, [projection]: bits };
      }
      return { ...plan, quantize: { ...plan.quantize, layers } };
    }
    case 'setGates': {
      const after = { ...plan, ...(edit.gates === undefined ? {} : { gates: edit.gates }) };
      if (edit.gates === undefined) {
        delete after.gates;
      }
      return after;
    }
  }
}

/**
 * Edits on their way to the document. Until the extension has answered, the page shows the plan as it will be; what the document says
 * then replaces it.
 */
export class PendingEdits {
  private waiting: EditMessage[] = [];
  private last = 0;

  /** Numbers an edit and remembers it. */
  add(edit: NewEdit): EditMessage {
    this.last += 1;
    const message = { ...edit, edit: this.last };
    this.waiting.push(message);
    return message;
  }

  /** The extension has handled everything up to this edit. */
  settle(applied: number): void {
    this.waiting = this.waiting.filter(({ edit }) => edit > applied);
  }

  /** A plan as it will be when all waiting edits are in it. */
  apply(plan: Plan, measurements: PlanMeasurements): Plan {
    return this.waiting.reduce((current, edit) => afterEdit(current, edit, measurements), plan);
  }
}
