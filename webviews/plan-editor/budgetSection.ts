import { lossTableNames } from '../../engine/protocol/planEditor';
import type { LossTable, PlanFront } from '../../engine/protocol/planEditor';
import type { HeatMapValues } from '../charts/heatMapValues';
import { valueRange } from '../charts/heatMapValues';
import { createColourLegend, createLegend } from '../charts/legend';
import { text } from '../strings';
import { createDataGrid } from '../ui-kit/dataGrid';
import { element } from '../ui-kit/elements';
import { formatMeasured } from '../ui-kit/numbers';
import { createDropdown } from '../ui-kit/toolkit';
import { barsSentence, BudgetBarsFigure } from './budgetBarsFigure';
import { BudgetDraft } from './budgetDraft';
import { allocated, asTrained, gradient, setAll, stepped } from './budgetGestures';
import type { BudgetChange } from './budgetGestures';
import { createBudgetToolbar } from './budgetToolbar';
import { createTotalsRow, totalsOf } from './budgetTotals';
import type { BarIntent } from './barKeys';
import { createFrontSlider } from './frontSlider';
import { explainLayer, layerCells, layerColumns, layerLine } from './layerText';
import { tableInUse } from './layerState';
import type { LayerState, PlanView } from './layerState';
import { tableLabel } from './lossTableText';
import { createSection } from './section';
import type { EditorContext, EditorPart } from './section';
import { sensitivityBackground, lossAlong } from './sensitivityBackground';

/** Second digit of a two-digit number has to follow within this time, in milliseconds. */
const digitMilliseconds = 700;

/** The active experts of every layer: bars to drag, totals that follow, a slider along the front. */
export class BudgetSection implements EditorPart {
  readonly root: HTMLElement;
  private view: PlanView | undefined;
  private drag: { readonly layers: readonly LayerState[]; readonly targets: readonly number[] } | undefined;
  private typed = { position: -1, value: 0, time: 0 };
  private background: { readonly key: readonly unknown[]; readonly values: HeatMapValues } | undefined;
  private readonly draft = new BudgetDraft((changes) => {
    this.context.edit({ kind: 'setBudgets', changes: [...changes] });
  });
  private readonly totals;
  private readonly toolbar;
  private readonly figure: BudgetBarsFigure;
  private readonly slider;
  private readonly grid;
  private readonly tables;
  private readonly legend = createColourLegend();
  private readonly legends = element('div', { className: 'legends' });
  private readonly shell;

  constructor(private readonly context: EditorContext) {
    this.totals = createTotalsRow(context.explanation);
    this.toolbar = createBudgetToolbar({
      step: (by) => this.edit((layers, targets) => stepped(layers, targets, by)),
      setAll: (active) => this.edit((layers, targets) => setAll(layers, targets, active)),
      gradient: (first, last) => this.edit((layers, targets) => gradient(layers, targets, first, last)),
      asTrained: () => this.edit((layers, targets) => asTrained(layers, targets)),
      lock: (locked) => this.lock(this.toolbarTargets(), locked),
      selectAll: () => this.select(this.positions()),
      clearSelection: () => this.select([]),
    });
    this.figure = new BudgetBarsFigure({
      describe: (layer) => layerLine(layer, this.table()),
      onIntent: (intent, position) => this.intent(intent, position),
      onPress: (position, held) => this.press(position, held),
      onDrag: (position, levels) => this.dragged(position, levels),
      onDragEnd: (kept) => this.dragEnd(kept),
      onRelease: () => this.draft.commit(),
      onFocus: (position) => {
        if (position !== this.cursor()) {
          context.state.change({ layer: position });
          this.render();
        }
        this.look(position);
      },
      onHover: (position) => this.look(position),
    });
    this.slider = createFrontSlider({
      onPreview: (point) => {
        this.draft.replace(allocated(this.view?.layers ?? [], point.activeExperts));
        this.render();
      },
      onTake: (point) => this.take(point),
    });
    this.grid = createDataGrid({
      mode: 'rows',
      hint: text('planGridHint'),
      onMove: ({ row }) => {
        this.context.state.change({ layer: row });
        this.render();
        this.look(row);
      },
      onActivate: ({ row }) => this.figure.focus(row),
    });
    this.tables = createDropdown(text('planTableChoice'), (value) => {
      const name = lossTableNames.find((known) => known === value);
      if (name !== undefined && name !== this.table()?.name) {
        context.state.change({ lossTable: name });
        context.post({ kind: 'useTable', table: name });
        this.render();
      }
    });
    const chooser = element('div', { className: 'table-choice' }, [
      element('span', { className: 'note', text: text('planTableChoice') }),
      this.tables.root,
      this.legend.root,
    ]);
    const showTable = (shown: boolean): void => {
      this.grid.root.hidden = !shown;
      this.grid.show(shown);
      this.render();
    };
    const options = { name: 'budgets', title: 'planBudgets', onTable: showTable } as const;
    this.shell = createSection(context, options, [
      this.totals.root,
      this.toolbar.root,
      this.figure.root,
      chooser,
      this.legends,
      this.slider.root,
      this.grid.root,
    ]);
    this.root = this.shell.root;
    showTable(context.state.current.tables.includes('budgets'));
  }

  update(view: PlanView): void {
    this.view = view;
    this.root.hidden = view.layers.length === 0;
    if (this.root.hidden) {
      return;
    }
    if (!view.editable) {
      this.draft.discard();
    }
    this.render();
    if (this.figure.root.contains(document.activeElement)) {
      this.look(this.cursor());
    }
    const table = this.table();
    this.shell.setBadge(table?.stale === true ? text('staleBadge') : undefined);
    this.shell.setNote(table === undefined ? text('planNoTable') : '');
  }

  dispose(): void {
    this.draft.discard();
    this.figure.dispose();
  }

  private table(): LossTable | undefined {
    return this.view && tableInUse(this.view.measurements, this.context.state.current.lossTable);
  }

  private positions(): number[] {
    return (this.view?.layers ?? []).map(({ position }) => position);
  }

  private selected(): ReadonlySet<number> {
    const count = this.view?.layers.length ?? 0;
    return new Set(this.context.state.current.selected.filter((position) => position < count));
  }

  private cursor(): number {
    return Math.max(0, Math.min((this.view?.layers.length ?? 1) - 1, this.context.state.current.layer));
  }

  /** Layers that the buttons work on: the selected ones, or all. */
  private toolbarTargets(): readonly number[] {
    const selected = this.selected();
    return selected.size === 0 ? this.positions() : [...selected].sort((one, other) => one - other);
  }

  /** Layers that a gesture on one bar works on: with it all that are selected, where it is one of them. */
  private targetsOf(position: number): readonly number[] {
    const selected = this.selected();
    return selected.has(position) ? [...selected] : [position];
  }

  private edit(changesOf: (layers: readonly LayerState[], targets: readonly number[]) => BudgetChange[]): void {
    if (this.view?.editable !== true) {
      return;
    }
    this.draft.commit();
    this.draft.replace(changesOf(this.view.layers, this.toolbarTargets()));
    this.draft.commit();
  }

  private select(positions: readonly number[]): void {
    this.context.state.change({ selected: [...positions] });
    this.render();
  }

  private lock(targets: readonly number[], locked: boolean): void {
    const { view } = this;
    if (view?.editable !== true) {
      return;
    }
    const indices = targets.flatMap((position) => view.layers[position]?.index ?? []);
    const others = (view.plan.locked ?? []).filter((index) => !indices.includes(index));
    const all = locked ? [...others, ...indices] : others;
    this.context.edit({ kind: 'setLocked', locked: all.sort((one, other) => one - other) });
  }

  private intent(intent: BarIntent, position: number): void {
    const { view } = this;
    if (view === undefined) {
      return;
    }
    const targets = this.targetsOf(position);
    const shown = this.draft.apply(view.layers);
    const change = (changes: readonly BudgetChange[]): void => {
      if (view.editable) {
        this.draft.extend(changes);
        this.render();
        this.look(position);
      }
    };
    switch (intent.kind) {
      case 'step':
        change(stepped(shown, targets, intent.by));
        return;
      case 'least':
        change(setAll(shown, targets, 1));
        return;
      case 'most':
        change(asTrained(shown, targets));
        return;
      case 'trained':
        change(asTrained(shown, targets));
        return;
      case 'digit':
        change(setAll(shown, targets, this.typedNumber(intent.digit, position)));
        return;
      case 'lock':
        this.lock(targets, shown[position]?.locked !== true);
        return;
      case 'move':
        this.moveTo(intent.to, intent.extend, position);
        return;
      case 'toggleSelection':
        this.toggle(position);
        return;
      case 'selectAll':
        this.select(this.positions());
        return;
      case 'clearSelection':
        this.select([]);
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

  private toggle(position: number): void {
    const selected = new Set(this.selected());
    if (!selected.delete(position)) {
      selected.add(position);
    }
    this.select([...selected].sort((one, other) => one - other));
  }

  private moveTo(to: number, extend: boolean, from: number): void {
    if (extend) {
      this.context.state.change({ layer: to });
      this.select([...new Set([...this.selected(), from, to])].sort((one, other) => one - other));
    } else {
      this.context.state.change({ layer: to });
      this.render();
    }
    this.figure.focus(to);
  }

  private press(position: number, held: { readonly extend: boolean; readonly toggle: boolean }): void {
    const anchor = this.cursor();
    this.context.state.change({ layer: position });
    if (held.toggle) {
      this.toggle(position);
    } else if (held.extend) {
      const [first, last] = [Math.min(anchor, position), Math.max(anchor, position)];
      this.select(this.positions().slice(first, last + 1));
    } else if (!this.selected().has(position)) {
      this.select([]);
    } else {
      this.render();
    }
  }

  private dragged(position: number, levels: number): void {
    const { view } = this;
    if (view?.editable !== true) {
      return;
    }
    this.drag ??= { layers: view.layers, targets: this.targetsOf(position) };
    this.draft.replace(stepped(this.drag.layers, this.drag.targets, levels));
    this.render();
    this.look(position);
  }

  private dragEnd(kept: boolean): void {
    this.drag = undefined;
    if (kept) {
      this.draft.commit();
    } else {
      this.draft.discard();
    }
    this.render();
  }

  private take(point: PlanFront['points'][number]): void {
    const { view } = this;
    const table = view?.front?.table;
    this.draft.discard();
    const changes = allocated(view?.layers ?? [], point.activeExperts);
    if (view?.editable === true && changes.length > 0 && table !== undefined) {
      const solved = { table, predicted: point.predicted, total: point.total };
      this.context.edit({ kind: 'setBudgets', changes, solved });
    } else {
      this.render();
    }
  }

  private look(position: number | undefined): void {
    const { view } = this;
    this.figure.look(position);
    const layer = view && this.draft.apply(view.layers)[position ?? this.cursor()];
    if (view !== undefined && layer !== undefined && position !== undefined) {
      this.context.explanation.show(explainLayer(layer, view.plan, view.measurements, this.table()));
    }
  }

  private backgroundOf(table: LossTable, layers: readonly LayerState[]): HeatMapValues {
    const levels = Math.max(1, ...layers.map(({ active, trained }) => Math.max(active, trained)));
    const key = [table, layers.length, levels];
    if (this.background === undefined || key.some((part, at) => part !== this.background?.key[at])) {
      this.background = { key, values: sensitivityBackground(table, layers, levels) };
      this.showScale(this.background.values, table);
    }
    return this.background.values;
  }

  private showScale(values: HeatMapValues, table: LossTable): void {
    const range = valueRange(values);
    if (range !== undefined) {
      const { minimum, maximum } = range;
      const at = (share: number): string => formatMeasured(lossAlong(minimum, maximum, share));
      this.legend.update(at(0), at(0.5), at(1));
    }
    this.legend.root.title = tableLabel(table);
  }

  private render(): void {
    const { view } = this;
    if (view === undefined) {
      return;
    }
    const table = this.table();
    const layers = this.draft.apply(view.layers);
    const selected = this.selected();
    const cursor = this.cursor();
    const totals = totalsOf(layers, table);
    this.totals.update(totals, table);
    this.toolbar.update(layers, selected, view.editable);
    this.figure.update({
      layers,
      selected,
      cursor,
      background: table === undefined ? undefined : this.backgroundOf(table, layers),
      editable: view.editable,
      sentence: barsSentence(layers),
    });
    this.figure.look(cursor);
    this.slider.update({
      front: this.frontFor(view, table),
      total: totals.total,
      predicted: totals.predicted,
      editable: view.editable,
      solvable: table !== undefined && view.measurements.state === 'ready',
      obstacle: view.front?.reason,
    });
    this.showTables(view, table);
    if (!this.grid.root.hidden) {
      this.showNumbers(layers, table, selected);
    }
  }

  /** The front that was solved for this table and these locks; an earlier one would answer another question. */
  private frontFor({ front, layers }: PlanView, table: LossTable | undefined): PlanFront | undefined {
    const locked = layers.filter((layer) => layer.locked);
    const same =
      front?.table === table?.name &&
      front?.locked.length === locked.length &&
      front.locked.every(
        ({ position, active }) => layers[position]?.locked === true && layers[position].active === active,
      );
    return same ? front : undefined;
  }

  private showTables({ measurements }: PlanView, table: LossTable | undefined): void {
    const { tables } = measurements;
    const root = this.tables.root.parentElement;
    if (root !== null) {
      root.hidden = table === undefined;
    }
    this.tables.update(
      tables.map((each) => ({ value: each.name, label: tableLabel(each) })),
      table?.name,
    );
    const wanted = [
      { shape: 'bar', label: text('planLegendBar') },
      { shape: 'selected', label: text('planLegendSelected') },
      { shape: 'hatched', label: text('planLegendLocked') },
      { shape: 'dashes', label: text('planLegendAverage') },
    ] as const;
    if (this.legends.childElementCount === 0) {
      this.legends.append(createLegend(wanted));
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
