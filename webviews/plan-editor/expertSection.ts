import { ChartFigure } from '../charts/chartFigure';
import { ExpertGrid } from '../charts/expertGrid';
import { createColourLegend, createLegend } from '../charts/legend';
import { text } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { createNumberField } from '../ui-kit/numberField';
import { formatShare } from '../ui-kit/numbers';
import { createButton } from '../ui-kit/toolkit';
import { cellsIn } from './cellRange';
import { pruneByRatio, pruneByThreshold, setCells } from './expertGestures';
import type { KeptChange } from './expertGestures';
import { expertCell, expertLine, expertRows, explainExpert, markOf } from './expertModel';
import type { ExpertRow } from './expertModel';
import { listenToLasso } from './lasso';
import type { PlanView } from './layerState';
import { createSection } from './section';
import type { EditorContext, EditorPart } from './section';

const percent = 100;

/** Which experts stay, go or become one: a grid of layers by experts, changed cell by cell, by rectangle, by share or by threshold. */
export class ExpertSection implements EditorPart {
  readonly root: HTMLElement;
  private view: PlanView | undefined;
  private rows: readonly ExpertRow[] = [];
  private columns = 0;
  private selected: ReadonlySet<number> = new Set();
  private extending = false;
  private anchor: { readonly row: number; readonly column: number } | undefined;
  private scores: { readonly key: unknown; readonly values: Float64Array } | undefined;
  private chart: ExpertGrid | undefined;
  private restored = false;
  private readonly figure: ChartFigure;
  private readonly lasso;
  private readonly shell;
  private readonly scope = element('span', { className: 'toolbar-scope', attributes: { role: 'status' } });
  private readonly facts = element('p', { className: 'note' });
  private readonly warning = element('p', { className: 'note warning-line', attributes: { role: 'status' } });
  private readonly legend = createColourLegend();
  private readonly prune = this.button('planPrune', () => this.mark(false));
  private readonly keep = this.button('planKeep', () => this.mark(true));
  private readonly clear = this.button('planClearSelection', () => this.select(new Set()));
  private readonly ratioButton = this.button('planPruneRatio', () => this.byRatio());
  private readonly thresholdButton = this.button('planPruneThreshold', () => this.byThreshold());
  private readonly ratio = createNumberField(text('planRatioField'), 25, () => this.byRatio());
  private readonly threshold = createNumberField(text('planThresholdField'), 1, () => this.byThreshold());

  constructor(private readonly context: EditorContext) {
    this.figure = new ChartFigure({
      className: 'expert-grid',
      mode: 'cells',
      hint: text('planExpertHint'),
      describe: ({ row, column }) => {
        const layer = this.rows[row];
        return layer === undefined || column >= layer.experts ? '' : expertLine(layer, column);
      },
      onMove: (position) => this.moved(position),
      onActivate: ({ row, column }) => this.toggle(row, column),
      createSurface: (canvas) => {
        this.chart = new ExpertGrid(canvas);
        return this.chart;
      },
    });
    const canvas = this.figure.plot.querySelector('canvas');
    this.lasso = listenToLasso(
      this.figure.plot,
      (event) => {
        const { left = 0, top = 0 } = canvas?.getBoundingClientRect() ?? {};
        return this.chart?.hit(event.clientX - left, event.clientY - top);
      },
      (range, added) => {
        const cells = cellsIn(range, this.columns);
        this.select(new Set(added ? [...this.selected, ...cells] : cells));
        this.figure.grid.focus();
      },
    );
    this.figure.root.addEventListener(
      'keydown',
      (event) => {
        this.extending = event.shiftKey;
        if (event.key === 'Escape') {
          this.select(new Set());
        }
      },
      true,
    );
    this.ratio.setRange(0, percent - 1);
    this.threshold.setRange(0, percent);
    const group = (children: readonly HTMLElement[]): HTMLElement =>
      element('div', { className: 'toolbar-group' }, children);
    const toolbar = element('div', { className: 'budget-toolbar' }, [
      this.scope,
      group([this.prune.root, this.keep.root, this.clear.root]),
      group([this.ratio.root, element('span', { text: '%' }), this.ratioButton.root]),
      group([this.threshold.root, element('span', { text: '%' }), this.thresholdButton.root]),
    ]);
    const marks = createLegend([
      { shape: 'crossed', label: text('planExpertPruned') },
      { shape: 'struck', label: text('planExpertMergedWord') },
      { shape: 'selected', label: text('planLegendSelected') },
    ]);
    const showTable = (shown: boolean): void => {
      this.figure.showTable(shown);
    };
    const body = [this.facts, this.warning, toolbar, this.figure.root, this.legend.root, marks];
    this.shell = createSection(context, { name: 'experts', title: 'planExperts', onTable: showTable }, body);
    this.root = this.shell.root;
    showTable(context.state.current.tables.includes('experts'));
  }

  update(view: PlanView): void {
    this.view = view;
    this.rows = expertRows(view);
    this.root.hidden = this.rows.length === 0;
    if (!this.root.hidden) {
      this.render();
    }
  }

  dispose(): void {
    this.lasso.dispose();
    this.figure.dispose();
  }

  private button(
    label: 'planPrune' | 'planKeep' | 'planClearSelection' | 'planPruneRatio' | 'planPruneThreshold',
    onPress: () => void,
  ): ReturnType<typeof createButton> {
    return createButton({ label: text(label), appearance: 'secondary', onPress });
  }

  /** Merged groups list every expert that stays, so experts can be exchanged by hand only where nothing is merged. */
  private editable(): boolean {
    return this.view?.editable === true && this.view.plan.prune !== undefined && this.view.plan.merge === undefined;
  }

  private edit(changes: KeptChange[]): void {
    if (this.editable() && changes.length > 0) {
      this.context.edit({ kind: 'setKept', changes });
    }
  }

  private toggle(row: number, column: number): void {
    const layer = this.rows[row];
    if (layer !== undefined && column < layer.experts) {
      this.edit(setCells(this.rows, [row * this.columns + column], this.columns, !layer.kept.has(column)));
    }
  }

  private mark(kept: boolean): void {
    this.edit(setCells(this.rows, this.selected, this.columns, kept));
  }

  private byRatio(): void {
    if (this.ratio.value !== undefined) {
      this.edit(pruneByRatio(this.rows, this.ratio.value / percent));
    }
  }

  private byThreshold(): void {
    const share = this.threshold.root.valueAsNumber;
    if (Number.isFinite(share)) {
      this.edit(pruneByThreshold(this.rows, share / percent));
    }
  }

  private select(selected: ReadonlySet<number>): void {
    this.selected = selected;
    this.render();
  }

  private moved(position: { readonly row: number; readonly column: number }): void {
    const before = this.context.state.current.expert;
    this.context.state.change({ expert: position });
    if (this.extending) {
      this.anchor ??= before;
      this.select(new Set(cellsIn({ from: this.anchor, to: position }, this.columns)));
    } else {
      this.anchor = undefined;
    }
    const row = this.rows[position.row];
    if (row !== undefined && this.view !== undefined && position.column < row.experts) {
      this.context.explanation.show(explainExpert(row, position.column, this.view));
    }
  }

  private scoresOf(): Float64Array {
    const key = this.view?.measurements;
    if (this.scores === undefined || this.scores.key !== key) {
      const values = new Float64Array(this.rows.length * this.columns).fill(Number.NaN);
      this.rows.forEach(({ use, position }) => {
        use?.forEach((share, expert) => {
          values[position * this.columns + expert] = share;
        });
      });
      this.scores = { key, values };
    }
    return this.scores.values;
  }

  private render(): void {
    const { rows, view, chart } = this;
    if (view === undefined || chart === undefined) {
      return;
    }
    this.columns = Math.max(0, ...rows.map(({ experts }) => experts));
    const columnHeaders = Array.from({ length: this.columns }, (_, expert) => String(expert));
    const rowHeaders = rows.map(({ name }) => name);
    chart.update({
      rows: rows.length,
      columns: this.columns,
      rowHeaders,
      columnHeaders,
      scores: this.scoresOf(),
      marks: rows.flatMap((row) => columnHeaders.map((_, expert) => markOf(row, expert))),
      selected: this.selected,
      rowTitle: text('layerAxis'),
      columnTitle: text('planExpertAxis'),
    });
    const { range } = chart;
    this.legend.root.hidden = range === undefined;
    if (range !== undefined) {
      const { minimum, maximum } = range;
      this.legend.update(formatShare(minimum), formatShare((minimum + maximum) / 2), formatShare(maximum));
    }
    this.figure.update(this.sentence(), {
      label: text('planExpertGrid'),
      corner: text('layerAxis'),
      columnHeaders,
      rowHeaders,
      cell: (row, column) => {
        const layer = rows[row];
        return layer === undefined ? '' : expertCell(layer, column);
      },
      isChosen: (row, column) => this.selected.has(row * this.columns + column),
    });
    if (!this.restored) {
      this.restored = true;
      this.figure.setPosition(this.context.state.current.expert);
    }
    this.renderToolbar(view);
  }

  private sentence(): string {
    const experts = this.rows.reduce((sum, row) => sum + row.experts, 0);
    const kept = this.rows.reduce((sum, row) => sum + row.kept.size, 0);
    const merged = this.rows.reduce(
      (sum, row) => sum + [...row.groups.keys()].filter((expert) => markOf(row, expert) === 'merged').length,
      0,
    );
    const share = formatShare(experts === 0 ? 0 : (kept - merged) / experts);
    return text('planExpertSentence', { layers: this.rows.length, experts, kept, merged, left: kept - merged, share });
  }

  private renderToolbar(view: PlanView): void {
    setText(this.facts, this.sentence());
    const count = this.selected.size;
    setText(this.scope, count === 0 ? text('planNothingSelected') : text('planScopeSelected', { count }));
    const editable = this.editable();
    const reason = view.plan.merge === undefined ? undefined : text('planMergedReadOnly');
    for (const button of [this.prune, this.keep]) {
      button.setEnabled(editable && count > 0, reason);
    }
    this.clear.root.hidden = count === 0;
    const known = this.rows.some(({ use }) => use !== undefined);
    for (const button of [this.ratioButton, this.thresholdButton]) {
      button.setEnabled(editable && known, known ? reason : text('planNoStatistics'));
    }
    for (const field of [this.ratio, this.threshold]) {
      field.setEnabled(editable && known);
    }
    const weak = this.rows.reduce((sum, row) => sum + row.weak.size, 0);
    const layers = this.rows.filter((row) => row.weak.size > 0).length;
    setText(this.warning, weak === 0 ? '' : text('planCoverage', { weak, layers }));
    this.shell.setNote(editable || reason === undefined ? '' : reason);
  }
}
