import type { PlanFront } from '../../engine/protocol/planEditor';
import type { BarIntent } from './barKeys';
import { BudgetDraft } from './budgetDraft';
import { allocated, asTrained, setAll, stepped } from './budgetGestures';
import type { BudgetChange } from './budgetGestures';
import type { LayerSelection } from './layerSelection';
import type { LayerState, PlanView } from './layerState';
import type { EditorContext } from './section';

/** Second digit of a two-digit number has to follow within this time, in milliseconds. */
const digitMilliseconds = 700;

type FrontPoint = PlanFront['points'][number];

/** What the gestures need to know, and whom they tell. */
export interface BudgetEditingOptions {
  readonly context: EditorContext;
  readonly selection: LayerSelection;
  readonly view: () => PlanView | undefined;
  /** Numbers changed, for now or for good; where one bar is at work, its position. */
  readonly onChange: (position?: number) => void;
  /** The cursor is to go to a bar. */
  readonly onMove: (position: number) => void;
}

/** Turns gestures into edits: shown as a draft while they last, one edit when they end. */
export class BudgetEditing {
  private drag: { readonly layers: readonly LayerState[]; readonly targets: readonly number[] } | undefined;
  private typed = { position: -1, value: 0, time: 0 };
  private readonly draft: BudgetDraft;

  constructor(private readonly options: BudgetEditingOptions) {
    this.draft = new BudgetDraft((changes) => {
      options.context.edit({ kind: 'setBudgets', changes: [...changes] });
    });
  }

  /** The layers with the numbers that are being changed. */
  apply(layers: readonly LayerState[]): readonly LayerState[] {
    return this.draft.apply(layers);
  }

  commit(): void {
    this.draft.commit();
  }

  discard(): void {
    this.draft.discard();
  }

  /** A button over the bars: one edit of the selected layers, or of all. */
  edit(changesOf: (layers: readonly LayerState[], targets: readonly number[]) => BudgetChange[]): void {
    const view = this.editableView();
    if (view !== undefined) {
      this.draft.commit();
      this.draft.replace(changesOf(view.layers, this.options.selection.targets));
      this.draft.commit();
    }
  }

  lock(targets: readonly number[], locked: boolean): void {
    const view = this.editableView();
    if (view === undefined) {
      return;
    }
    const indices = targets.flatMap((position) => view.layers[position]?.index ?? []);
    const others = (view.plan.locked ?? []).filter((index) => !indices.includes(index));
    const all = locked ? [...others, ...indices] : others;
    this.options.context.edit({ kind: 'setLocked', locked: all.sort((one, other) => one - other) });
  }

  /** A key on a bar. */
  intent(intent: BarIntent, position: number): void {
    const { selection, onMove } = this.options;
    switch (intent.kind) {
      case 'step':
        this.change(position, (layers, targets) => stepped(layers, targets, intent.by));
        return;
      case 'least':
        this.change(position, (layers, targets) => setAll(layers, targets, 1));
        return;
      case 'most':
      case 'trained':
        this.change(position, asTrained);
        return;
      case 'digit': {
        const value = this.typedNumber(intent.digit, position);
        this.change(position, (layers, targets) => setAll(layers, targets, value));
        return;
      }
      case 'lock':
        this.lock(selection.targetsOf(position), this.shown()[position]?.locked !== true);
        return;
      case 'move':
        if (intent.extend) {
          selection.extend(position, intent.to);
        } else {
          selection.moveTo(intent.to);
        }
        onMove(intent.to);
        return;
      case 'toggleSelection':
        selection.toggle(position);
        return;
      case 'selectAll':
        selection.select(selection.all);
        return;
      case 'clearSelection':
        selection.select([]);
    }
  }

  /** A bar is dragged by so many levels; with it all that are selected. */
  dragged(position: number, levels: number): void {
    const view = this.editableView();
    if (view === undefined) {
      return;
    }
    this.drag ??= { layers: view.layers, targets: this.options.selection.targetsOf(position) };
    this.draft.replace(stepped(this.drag.layers, this.drag.targets, levels));
    this.options.onChange(position);
  }

  dragEnd(kept: boolean): void {
    this.drag = undefined;
    if (kept) {
      this.draft.commit();
    } else {
      this.draft.discard();
    }
    this.options.onChange();
  }

  /** The person slides over a point of the front. */
  preview(point: FrontPoint): void {
    this.draft.replace(allocated(this.options.view()?.layers ?? [], point.activeExperts));
    this.options.onChange();
  }

  /** The person let go of the slider: this point is the plan. */
  take(point: FrontPoint): void {
    const view = this.editableView();
    const table = view?.front?.table;
    this.draft.discard();
    const changes = allocated(view?.layers ?? [], point.activeExperts);
    if (changes.length > 0 && table !== undefined) {
      const solved = { table, predicted: point.predicted, total: point.total };
      this.options.context.edit({ kind: 'setBudgets', changes, solved });
    } else {
      this.options.onChange();
    }
  }

  private editableView(): PlanView | undefined {
    const view = this.options.view();
    return view?.editable === true ? view : undefined;
  }

  private shown(): readonly LayerState[] {
    return this.draft.apply(this.options.view()?.layers ?? []);
  }

  private change(
    position: number,
    changesOf: (layers: readonly LayerState[], targets: readonly number[]) => BudgetChange[],
  ): void {
    if (this.editableView() !== undefined) {
      this.draft.extend(changesOf(this.shown(), this.options.selection.targetsOf(position)));
      this.options.onChange(position);
    }
  }

  /** A digit typed soon after another makes one number with it. */
  private typedNumber(digit: number, position: number): number {
    const now = performance.now();
    const { typed } = this;
    const continues = typed.position === position && now - typed.time < digitMilliseconds;
    const value = continues ? typed.value * 10 + digit : digit;
    this.typed = { position, value, time: now };
    return value;
  }
}
