import type { PlanQuantize } from '../../engine/protocol/plan';
import { ChartFigure } from '../charts/chartFigure';
import { ExpertGrid } from '../charts/expertGrid';
import { createColourLegend } from '../charts/legend';
import { text } from '../strings';
import { element, setText } from '../ui-kit/elements';
import type { GridPosition } from '../ui-kit/gridCursor';
import { formatDecimals } from '../ui-kit/numbers';
import { applyPreset, setBits } from './bitsGestures';
import type { BitsChange } from './bitsGestures';
import { BitsGrid } from './bitsGrid';
import { averageBits } from './bitsModel';
import { bitsLine, bitsText, explainBits, explainCodes, explainEffective } from './bitsText';
import { createBitsToolbar } from './bitsToolbar';
import { createFactTiles } from './factTiles';
import { GridSelection } from './gridSelection';
import type { PlanView } from './layerState';
import { createSection } from './section';
import type { EditorContext, EditorPart } from './section';

/** Keys that give cells their bits: the digit, and 6 for 16. */
const bitKeys: Readonly<Record<string, number>> = { '2': 2, '3': 3, '4': 4, '8': 8, '6': 16 };

/** Bits per layer and projection, or per expert: a heat map with its table, effective bits with their arithmetic. */
export class BitsSection implements EditorPart {
  readonly root: HTMLElement;
  private view: PlanView | undefined;
  private grid: BitsGrid | undefined;
  private chart: ExpertGrid | undefined;
  private restored = false;
  private readonly figure: ChartFigure;
  private readonly selection: GridSelection;
  private readonly tiles;
  private readonly toolbar;
  private readonly shell;
  private readonly facts = element('p', { className: 'note' });
  private readonly legend = createColourLegend();

  constructor(private readonly context: EditorContext) {
    this.figure = new ChartFigure({
      className: 'heat-map',
      mode: 'cells',
      hint: text('planBitsHint'),
      describe: ({ row, column }) => this.line(row, column),
      onMove: (position) => this.moved(position),
      onHover: (position) => this.explain(position),
      createSurface: (canvas) => {
        this.chart = new ExpertGrid(canvas);
        return this.chart;
      },
    });
    this.selection = new GridSelection({
      figure: this.figure,
      chart: () => this.chart,
      columns: () => this.grid?.columns ?? 1,
      onChange: () => this.render(),
    });
    this.figure.root.addEventListener('keydown', (event) => {
      const bits = bitKeys[event.key];
      if (bits !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        this.setChosen(bits);
      }
    });
    this.tiles = createFactTiles(context.explanation, text('planBitsTotals'), [
      text('planBitsCodes'),
      text('planBitsEffective'),
    ]);
    this.toolbar = createBitsToolbar({
      set: (bits) => this.setChosen(bits),
      preset: (preset) => this.edit(this.grid === undefined ? [] : applyPreset(this.grid.quantize, preset)),
      show: (bitsShown) => {
        if (bitsShown !== context.state.current.bitsShown) {
          context.state.change({ bitsShown });
          this.selection.select([]);
        }
      },
    });
    const showTable = (shown: boolean): void => {
      this.figure.showTable(shown);
    };
    const options = { name: 'quantization', title: 'planQuantization', onTable: showTable } as const;
    const body = [this.facts, this.tiles.root, this.toolbar.root, this.figure.root, this.legend.root];
    this.shell = createSection(context, options, body);
    this.root = this.shell.root;
    showTable(context.state.current.tables.includes('quantization'));
  }

  update(view: PlanView): void {
    this.view = view;
    this.root.hidden = this.quantize() === undefined;
    this.render();
  }

  dispose(): void {
    this.selection.dispose();
    this.figure.dispose();
  }

  /** The section of the plan, where it has one that fits the layers. */
  private quantize(): PlanQuantize | undefined {
    const quantize = this.view?.plan.quantize;
    return quantize?.layers.length === this.view?.layers.length ? quantize : undefined;
  }

  private name(row: number): string {
    return this.view?.layers[row]?.name ?? String(row);
  }

  private line(row: number, column: number): string {
    const place = this.grid?.place(row, column);
    return place === undefined || this.grid === undefined
      ? ''
      : bitsLine(this.grid.quantize, this.name(row), place.projection, place.bits, place.expert);
  }

  private moved(position: GridPosition): void {
    const before = this.context.state.current.bits;
    this.context.state.change({ bits: position });
    this.selection.moved(before, position);
    this.explain(position);
  }

  private explain({ row, column }: GridPosition): void {
    const place = this.grid?.place(row, column);
    if (place !== undefined && this.grid !== undefined) {
      const { projection, bits, expert } = place;
      this.context.explanation.show(explainBits(this.grid.quantize, this.name(row), projection, bits, expert));
    }
  }

  private edit(changes: BitsChange[]): void {
    if (this.view?.editable === true && changes.length > 0) {
      this.context.edit({ kind: 'setBits', changes });
    }
  }

  /** Gives the selected cells, or the one under the cursor, their bits. */
  private setChosen(bits: number): void {
    const { grid } = this;
    if (grid === undefined) {
      return;
    }
    const { row, column } = this.figure.grid.position;
    const { cells } = this.selection;
    const places = grid.places(cells.size === 0 ? [row * grid.columns + column] : cells);
    this.edit(setBits(grid.quantize, grid.remaining, places, bits));
    this.explain({ row, column });
  }

  private render(): void {
    const { chart, view } = this;
    const quantize = this.quantize();
    if (view === undefined || quantize === undefined || chart === undefined) {
      return;
    }
    const shown = this.context.state.current.bitsShown;
    const grid = new BitsGrid(view.plan, quantize, view.layers, shown);
    this.grid = grid;
    const { cells } = this.selection;
    chart.update(grid.data(cells));
    this.figure.root.classList.toggle('wide', shown !== 'projections');
    this.renderFacts(quantize, chart);
    this.figure.update(text('planBitsTable'), {
      label: text('planBitsTable'),
      corner: text('layerAxis'),
      rowHeaders: grid.rowHeaders,
      columnHeaders: grid.columnHeaders,
      cell: (row, column) => bitsText(grid.place(row, column)?.bits),
      isChosen: (row, column) => cells.has(row * grid.columns + column),
    });
    this.toolbar.update(shown, cells.size, view.editable);
    if (!this.restored) {
      this.restored = true;
      this.figure.setPosition(this.context.state.current.bits);
    }
  }

  private renderFacts(quantize: PlanQuantize, { range }: ExpertGrid): void {
    const { codes, effective } = averageBits(quantize);
    if (range !== undefined) {
      const at = (value: number): string => formatDecimals(value, 1);
      this.legend.update(at(range.minimum), at((range.minimum + range.maximum) / 2), at(range.maximum));
    }
    setText(this.facts, text('planBitsMethod', { method: quantize.method, group: quantize.group }));
    this.tiles.update([
      { value: formatDecimals(codes, 2), explain: () => explainCodes(quantize) },
      { value: formatDecimals(effective, 3), explain: () => explainEffective(quantize) },
    ]);
    this.shell.setNote(
      text(this.context.state.current.bitsShown === 'projections' ? 'planBitsAlike' : 'planBitsTargets'),
    );
  }
}
