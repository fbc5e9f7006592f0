import type { LossTable, PlanFront } from '../../engine/protocol/planEditor';
import { text } from '../strings';
import { createDataGrid } from '../ui-kit/dataGrid';
import { barsSentence, BudgetBarsFigure } from './budgetBarsFigure';
import { BudgetEditing } from './budgetEditing';
import { asTrained, gradient, setAll, stepped } from './budgetGestures';
import { createBudgetToolbar } from './budgetToolbar';
import { createTotalsRow, totalsOf } from './budgetTotals';
import { createFrontSlider } from './frontSlider';
import { LayerSelection } from './layerSelection';
import type { LayerState, PlanView } from './layerState';
import { explainLayer, layerCells, layerColumns, layerLine } from './layerText';
import { LossTableChooser } from './lossTableChooser';
import { createSection } from './section';
import type { EditorContext, EditorPart } from './section';

/** The front that was solved for this table and these locks; an earlier one would answer another question. */
function frontFor({ front, layers }: PlanView, table: LossTable | undefined): PlanFront | undefined {
  const locked = layers.filter((layer) => layer.locked);
  const same =
    front?.table === table?.name &&
    front?.locked.length === locked.length &&
    front.locked.every(
      ({ position, active }) => layers[position]?.locked === true && layers[position].active === active,
    );
  return same ? front : undefined;
}

/** The active experts of every layer: bars to drag, totals that follow, a slider along the front. */
export class BudgetSection implements EditorPart {
  readonly root: HTMLElement;
  private view: PlanView | undefined;
  private readonly selection: LayerSelection;
  private readonly editing: BudgetEditing;
  private readonly tables: LossTableChooser;
  private readonly figure: BudgetBarsFigure;
  private readonly totals;
  private readonly toolbar;
  private readonly slider;
  private readonly grid;
  private readonly shell;

  constructor(private readonly context: EditorContext) {
    const render = (): void => {
      this.render();
    };
    const selection = new LayerSelection(context.state, () => this.view?.layers.length ?? 0, render);
    const editing = new BudgetEditing({
      context,
      selection,
      view: () => this.view,
      onChange: (position) => {
        this.render();
        if (position !== undefined) {
          this.look(position);
        }
      },
      onMove: (position) => this.figure.focus(position),
    });
    this.selection = selection;
    this.editing = editing;
    this.tables = new LossTableChooser(context, render);
    this.totals = createTotalsRow(context.explanation);
    this.toolbar = createBudgetToolbar({
      step: (by) => editing.edit((layers, targets) => stepped(layers, targets, by)),
      setAll: (active) => editing.edit((layers, targets) => setAll(layers, targets, active)),
      gradient: (first, last) => editing.edit((layers, targets) => gradient(layers, targets, first, last)),
      asTrained: () => editing.edit(asTrained),
      lock: (locked) => editing.lock(selection.targets, locked),
      selectAll: () => selection.select(selection.all),
      clearSelection: () => selection.select([]),
    });
    this.figure = new BudgetBarsFigure({
      describe: (layer) => layerLine(layer, this.tables.table),
      onIntent: (intent, position) => editing.intent(intent, position),
      onPress: (position, held) => selection.press(position, { extend: held.extend, toggle: held.toggle }),
      onDrag: (position, levels) => editing.dragged(position, levels),
      onDragEnd: (kept) => editing.dragEnd(kept),
      onRelease: () => editing.commit(),
      onFocus: (position) => {
        if (position !== selection.cursor) {
          selection.moveTo(position);
        }
        this.look(position);
      },
      onHover: (position) => this.look(position),
    });
    this.slider = createFrontSlider({
      onPreview: (point) => editing.preview(point),
      onTake: (point) => editing.take(point),
    });
    this.grid = createDataGrid({
      mode: 'rows',
      hint: text('planGridHint'),
      onMove: ({ row }) => {
        selection.moveTo(row);
        this.look(row);
      },
      onActivate: ({ row }) => this.figure.focus(row),
    });
    const showTable = (shown: boolean): void => {
      this.grid.root.hidden = !shown;
      this.grid.show(shown);
      this.render();
    };
    this.shell = createSection(context, { name: 'budgets', title: 'planBudgets', onTable: showTable }, [
      this.totals.root,
      this.toolbar.root,
      this.figure.root,
      this.tables.root,
      this.tables.legend,
      this.slider.root,
      this.grid.root,
    ]);
    this.root = this.shell.root;
    showTable(context.state.current.tables.includes('budgets'));
  }

  update(view: PlanView): void {
    this.view = view;
    this.tables.update(view);
    this.root.hidden = view.layers.length === 0;
    if (this.root.hidden) {
      return;
    }
    if (!view.editable) {
      this.editing.discard();
    }
    this.render();
    if (this.figure.root.contains(document.activeElement)) {
      this.look(this.selection.cursor);
    }
    const { table } = this.tables;
    this.shell.setBadge(table?.stale === true ? text('staleBadge') : undefined);
    this.shell.setNote(table === undefined ? text('planNoTable') : '');
  }

  dispose(): void {
    this.editing.discard();
    this.figure.dispose();
  }

  /** Explains the layer that has the focus or the pointer. */
  private look(position: number | undefined): void {
    const { view } = this;
    this.figure.look(position);
    const layer = position === undefined ? undefined : view && this.editing.apply(view.layers)[position];
    if (view !== undefined && layer !== undefined) {
      this.context.explanation.show(explainLayer(layer, view.plan, view.measurements, this.tables.table));
    }
  }

  private render(): void {
    const { view } = this;
    if (view === undefined) {
      return;
    }
    const { table } = this.tables;
    const layers = this.editing.apply(view.layers);
    const { selected, cursor } = this.selection;
    const totals = totalsOf(layers, table);
    this.totals.update(totals, table);
    this.toolbar.update(layers, selected, view.editable);
    this.figure.update({
      layers,
      selected,
      cursor,
      background: this.tables.background(layers),
      editable: view.editable,
      sentence: barsSentence(layers),
    });
    this.figure.look(cursor);
    this.slider.update({
      front: frontFor(view, table),
      total: totals.total,
      predicted: totals.predicted,
      editable: view.editable,
      solvable: table !== undefined && view.measurements.state === 'ready',
      obstacle: view.front?.reason,
    });
    this.tables.render();
    if (!this.grid.root.hidden) {
      this.showNumbers(layers, table, selected);
    }
  }

  private showNumbers(
    layers: readonly LayerState[],
    table: LossTable | undefined,
    selected: ReadonlySet<number>,
  ): void {
    this.grid.update({
      label: text('planBarsTable'),
      corner: text('layerAxis'),
      columnHeaders: layerColumns(table),
      rowHeaders: layers.map(({ name }) => name),
      cell: (row, column) => {
        const layer = layers[row];
        return layer === undefined ? '' : (layerCells(layer, table)[column] ?? '');
      },
      isChosen: (row) => selected.has(row),
    });
  }
}
