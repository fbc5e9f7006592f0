import type { BudgetChange } from './budgetGestures';
import { withChanges } from './budgetGestures';
import type { LayerState } from './layerState';

/** A key that is held makes one edit when it is let go, or after this many milliseconds without a further one. */
const heldMilliseconds = 600;

/**
 * Numbers that a gesture shows and has not decided yet: a bar under the pointer, a key that is held, a slider on its way. One gesture
 * becomes one edit, and so one step of undo.
 */
export class BudgetDraft {
  private changes: readonly BudgetChange[] = [];
  private timer: number | undefined;

  constructor(private readonly onCommit: (changes: readonly BudgetChange[]) => void) {}

  get isEmpty(): boolean {
    return this.changes.length === 0;
  }

  /** The layers as the gesture shows them. */
  apply(layers: readonly LayerState[]): readonly LayerState[] {
    return withChanges(layers, this.changes);
  }

  /** Shows other numbers instead of those of before. */
  replace(changes: readonly BudgetChange[]): void {
    this.changes = changes;
  }

  /** Adds numbers to those of before, and decides them when no more follow. */
  extend(changes: readonly BudgetChange[]): void {
    const byPosition = new Map([...this.changes, ...changes].map((change) => [change.position, change]));
    this.changes = [...byPosition.values()];
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.commit();
    }, heldMilliseconds);
  }

  commit(): void {
    window.clearTimeout(this.timer);
    const { changes } = this;
    this.changes = [];
    if (changes.length > 0) {
      this.onCommit(changes);
    }
  }

  discard(): void {
    window.clearTimeout(this.timer);
    this.changes = [];
  }
}
