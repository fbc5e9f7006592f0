import { ChartFigure } from '../charts/chartFigure';
import { ExpertGrid } from '../charts/expertGrid';
import { createColourLegend, createLegend } from '../charts/legend';
import { text } from '../strings';
import { element, setText } from '../ui-kit/elements';
import type { GridPosition } from '../ui-kit/gridCursor';
import { createDropdown } from '../ui-kit/toolkit';
import { pruneByRatio, pruneByThreshold, setCells } from './expertGestures';
import type { KeptChange } from './expertGestures';
import { expertRows } from './expertModel';
import { ExpertPicture } from './expertPicture';
import { formatScore, knownScores, scoreInUse } from './expertScores';
import type { ExpertScore } from './expertScores';
import { expertLine, expertSentence, explainExpert } from './expertText';
import { createExpertToolbar } from './expertToolbar';
import { GridSelection } from './gridSelection';
import type { PlanView } from './layerState';
import type { NewEdit } from './pendingEdits';
import { createSection } from './section';
import type { EditorContext, EditorPart } from './section';

type Follows = Extract<NewEdit, { kind: 'setKept' }>['by'];

/** Which experts stay, go or become one: a grid of layers by experts, changed cell by cell, by rectangle, by share or by threshold. */
export class ExpertSection implements EditorPart {
  readonly root: HTMLElement;
  private view: PlanView | undefined;
  private known: readonly ExpertScore[] = [];
  private readonly picture = new ExpertPicture();
  private chart: ExpertGrid | undefined;
  private restored = false;
  private readonly figure: ChartFigure;
  private readonly selection: GridSelection;
  private readonly toolbar;
  private readonly shell;
  private readonly choice;
  private readonly chooser: HTMLElement;
  private readonly facts = element('p', { className: 'note' });
  private readonly warning = element('p', { className: 'note warning-line', attributes: { role: 'status' } });
  private readonly legend = createColourLegend();

  constructor(private readonly context: EditorContext) {
    this.figure = new ChartFigure({
      className: 'expert-grid',
      mode: 'cells',
      hint: text('planExpertHint'),
      describe: ({ row, column }) => {
        const layer = this.picture.rows[row];
        return layer === undefined || column >= layer.experts ? '' : expertLine(layer, column, this.picture.score);
      },
      onMove: (position) => this.moved(position),
      onHover: (position) => this.explain(position),
      onActivate: ({ row, column }) => this.toggle(row, column),
      createSurface: (canvas) => {
        this.chart = new ExpertGrid(canvas);
        return this.chart;
      },
    });
    this.selection = new GridSelection({
      figure: this.figure,
      chart: () => this.chart,
      columns: () => this.picture.columns,
      onChange: () => this.render(),
    });
    this.toolbar = createExpertToolbar({
      mark: (kept) => this.edit(setCells(this.picture.rows, this.selection.cells, this.picture.columns, kept)),
      clearSelection: () => this.selection.select([]),
      byRatio: (ratio) => this.edit(pruneByRatio(this.picture.rows, ratio), { ratio }),
      byThreshold: (threshold) => this.edit(pruneByThreshold(this.picture.rows, threshold), {}),
      countBelow: (threshold) =>
        this.picture.score &&
        this.picture.rows.reduce((sum, { scores = [] }) => sum + scores.filter((each) => each < threshold).length, 0),
    });
    this.choice = createDropdown(text('planScoreChoice'), (name) => {
      if (name !== this.picture.score?.name && this.known.some((each) => each.name === name)) {
        context.state.change({ score: name });
        this.refresh();
      }
    });
    this.chooser = element('div', { className: 'table-choice' }, [
      element('span', { className: 'note', text: text('planScoreChoice') }),
      this.choice.root,
      this.legend.root,
    ]);
    const marks = createLegend([
      { shape: 'crossed', label: text('planExpertPruned') },
      { shape: 'struck', label: text('planExpertMergedWord') },
      { shape: 'number', label: text('planLegendGroup') },
      { shape: 'corner', label: text('planLegendWeak') },
      { shape: 'selected', label: text('planLegendSelected') },
    ]);
    const showTable = (shown: boolean): void => {
      this.figure.showTable(shown);
    };
    const body = [this.facts, this.warning, this.toolbar.root, this.figure.root, this.chooser, marks];
    this.shell = createSection(context, { name: 'experts', title: 'planExperts', onTable: showTable }, body);
    this.root = this.shell.root;
    showTable(context.state.current.tables.includes('experts'));
  }

  update(view: PlanView): void {
    this.view = view;
    this.refresh();
  }

  dispose(): void {
    this.selection.dispose();
    this.figure.dispose();
  }

  private refresh(): void {
    const { view } = this;
    if (view === undefined) {
      return;
    }
    this.known = knownScores(view);
    const score = scoreInUse(this.known, this.context.state.current.score, view.plan);
    this.picture.update(expertRows(view, score), score);
    this.root.hidden = this.picture.rows.length === 0;
    if (!this.root.hidden) {
      this.render();
    }
  }

  /** Merged groups list every expert that stays, so experts can be exchanged by hand only where nothing is merged. */
  private editable(): boolean {
    return this.view?.editable === true && this.view.plan.merge === undefined;
  }

  /** @param by set when all layers together follow the chosen score */
  private edit(changes: KeptChange[], by?: { readonly ratio?: number }): void {
    if (!this.editable() || changes.length === 0) {
      return;
    }
    this.context.edit({ kind: 'setKept', changes, ...this.following(by) });
  }

  private following(by: { readonly ratio?: number } | undefined): { by?: Follows } {
    if (by === undefined || this.picture.score === undefined) {
      return {};
    }
    const { method, calibrationTokens } = this.picture.score;
    return { by: { method, ...by, ...(calibrationTokens === undefined ? {} : { calibrationTokens }) } };
  }

  private toggle(row: number, column: number): void {
    const layer = this.picture.rows[row];
    if (layer !== undefined && column < layer.experts) {
      this.edit(
        setCells(
          this.picture.rows,
          [row * this.picture.columns + column],
          this.picture.columns,
          !layer.kept.has(column),
        ),
      );
      this.explain({ row, column });
    }
  }

  private moved(position: GridPosition): void {
    const before = this.context.state.current.expert;
    this.context.state.change({ expert: position });
    this.selection.moved(before, position);
    this.showGroup(position);
    this.explain(position);
  }

  private explain({ row, column }: GridPosition): void {
    const layer = this.picture.rows[row];
    if (layer !== undefined && this.view !== undefined && column < layer.experts) {
      this.context.explanation.show(explainExpert(layer, column, this.view, this.picture.score));
    }
  }

  /** Outlines the experts that become one with the one under the cursor. */
  private showGroup({ row, column }: GridPosition): void {
    const members = this.picture.rows[row]?.groups.get(column)?.members ?? [];
    this.chart?.relate(new Set(members.map((expert) => row * this.picture.columns + expert)));
  }

  private render(): void {
    const { view, chart, picture } = this;
    if (view === undefined || chart === undefined) {
      return;
    }
    const sentence = expertSentence(picture.rows);
    chart.update(picture.data(this.selection.cells));
    this.showGroup(this.context.state.current.expert);
    this.figure.update(sentence, picture.table(this.selection.cells));
    if (!this.restored) {
      this.restored = true;
      this.figure.setPosition(this.context.state.current.expert);
    }
    setText(this.facts, sentence);
    this.renderScore(chart);
    this.renderToolbar(view);
  }

  private renderScore({ range }: ExpertGrid): void {
    const { score } = this.picture;
    this.chooser.hidden = this.known.length === 0;
    this.choice.update(
      this.known.map(({ name, title }) => ({ value: name, label: title })),
      score?.name,
    );
    this.legend.root.hidden = range === undefined || score === undefined;
    if (range !== undefined && score !== undefined) {
      const { minimum, maximum } = range;
      const at = (value: number): string => formatScore(score, value);
      this.legend.update(at(minimum), at((minimum + maximum) / 2), at(maximum));
      this.legend.root.title = score.rule;
    }
    this.shell.setBadge(score?.stale === true ? text('staleBadge') : undefined);
  }

  private renderToolbar(view: PlanView): void {
    const editable = this.editable();
    const reason = view.plan.merge === undefined ? undefined : text('planMergedReadOnly');
    this.toolbar.update({ selected: this.selection.cells.size, score: this.picture.score, editable, reason });
    const weak = this.picture.rows.reduce((sum, row) => sum + row.weak.size, 0);
    const layers = this.picture.rows
      .filter((row) => row.weak.size > 0)
      .map(({ name }) => name)
      .join(', ');
    setText(this.warning, weak === 0 ? '' : text('planCoverage', { weak, layers }));
    this.shell.setNote(editable || reason === undefined ? '' : reason);
  }
}
