import type { PlanQuantize } from '../../engine/protocol/plan';
import { ChartFigure } from '../charts/chartFigure';
import { ExpertGrid } from '../charts/expertGrid';
import { createColourLegend } from '../charts/legend';
import { text } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { formatDecimals } from '../ui-kit/numbers';
import { createButton } from '../ui-kit/toolkit';
import { averageBits, bitsText, explainBits, layerBits, meanBits, offeredBits, projections } from './bitsModel';
import type { PlanView } from './layerState';
import { createSection } from './section';
import type { EditorContext, EditorPart } from './section';

/** Keys that give a cell its bits: the digit, and 6 for 16. */
const bitKeys: Readonly<Record<string, number>> = { '2': 2, '3': 3, '4': 4, '8': 8, '6': 16 };

/** Bits per layer and projection: a heat map with its table, effective bits with their arithmetic. */
export class BitsSection implements EditorPart {
  readonly root: HTMLElement;
  private view: PlanView | undefined;
  private chart: ExpertGrid | undefined;
  private restored = false;
  private readonly figure: ChartFigure;
  private readonly shell;
  private readonly facts = element('p', { className: 'note' });
  private readonly legend = createColourLegend();
  private readonly buttons = offeredBits.map((bits) =>
    createButton({ label: String(bits), appearance: 'secondary', onPress: () => this.setAt(bits) }),
  );

  constructor(private readonly context: EditorContext) {
    this.figure = new ChartFigure({
      className: 'heat-map',
      mode: 'cells',
      hint: text('planBitsHint'),
      describe: ({ row, column }) => this.line(row, column),
      onMove: (position) => {
        context.state.change({ bits: position });
        this.explain(position.row, position.column);
      },
      createSurface: (canvas) => {
        this.chart = new ExpertGrid(canvas);
        return this.chart;
      },
    });
    this.figure.root.addEventListener('keydown', (event) => {
      const bits = bitKeys[event.key];
      if (bits !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        this.setAt(bits);
      }
    });
    const toolbar = element(
      'div',
      { className: 'toolbar-group bits-toolbar', attributes: { role: 'group', 'aria-label': text('planBitsGroup') } },
      [element('span', { text: text('planBitsGroup') }), ...this.buttons.map(({ root }) => root)],
    );
    const showTable = (shown: boolean): void => {
      this.figure.showTable(shown);
    };
    const options = { name: 'quantization', title: 'planQuantization', onTable: showTable } as const;
    this.shell = createSection(context, options, [this.facts, toolbar, this.figure.root, this.legend.root]);
    this.root = this.shell.root;
    showTable(context.state.current.tables.includes('quantization'));
  }

  update(view: PlanView): void {
    this.view = view;
    const quantize = this.quantize();
    this.root.hidden = quantize === undefined;
    if (quantize !== undefined) {
      this.render(quantize);
    }
  }

  dispose(): void {
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
    const projection = projections[column];
    const quantize = this.quantize();
    const bits = projection && layerBits(quantize?.layers[row], projection);
    return projection === undefined
      ? ''
      : text('planBitsLine', { layer: this.name(row), projection, bits: bitsText(bits) });
  }

  private explain(row: number, column: number): void {
    const projection = projections[column];
    const quantize = this.quantize();
    const bits = projection && layerBits(quantize?.layers[row], projection);
    if (projection !== undefined && quantize !== undefined && bits !== undefined) {
      this.context.explanation.show(explainBits(quantize, this.name(row), projection, bits));
    }
  }

  private setAt(bits: number): void {
    const { row: position, column } = this.figure.grid.position;
    const projection = projections[column];
    const present = projection && layerBits(this.quantize()?.layers[position], projection);
    if (this.view?.editable === true && projection !== undefined && present !== undefined && present !== bits) {
      this.context.edit({ kind: 'setBits', changes: [{ position, projection, bits }] });
      this.explain(position, column);
    }
  }

  private render(quantize: PlanQuantize): void {
    const { chart } = this;
    const { layers } = quantize;
    const values = Float64Array.from(
      layers.flatMap((layer) =>
        projections.map((projection) => {
          const bits = layerBits(layer, projection);
          return bits === undefined ? Number.NaN : meanBits(bits);
        }),
      ),
    );
    const headers = {
      rowHeaders: layers.map((_, row) => this.name(row)),
      columnHeaders: [...projections],
    };
    chart?.update({
      scores: values,
      rows: layers.length,
      columns: projections.length,
      ...headers,
      rowTitle: text('layerAxis'),
      columnTitle: text('planProjectionAxis'),
      marks: [],
      selected: new Set(),
    });
    const range = chart?.range;
    if (range !== undefined) {
      const { minimum, maximum } = range;
      this.legend.update(
        formatDecimals(minimum, 1),
        formatDecimals((minimum + maximum) / 2, 1),
        formatDecimals(maximum, 1),
      );
    }
    const average = averageBits(quantize);
    const facts = text('planBitsSentence', {
      method: quantize.method,
      codes: formatDecimals(average.codes, 2),
      effective: formatDecimals(average.effective, 3),
      group: quantize.group,
    });
    setText(this.facts, facts);
    this.shell.setNote(
      quantize.effectiveBits === undefined
        ? ''
        : text('planBitsRecorded', { effective: formatDecimals(quantize.effectiveBits, 3) }),
    );
    this.figure.update(facts, {
      label: text('planBitsTable'),
      corner: text('layerAxis'),
      ...headers,
      cell: (row, column) => {
        const projection = projections[column];
        return projection === undefined ? '' : bitsText(layerBits(layers[row], projection));
      },
      isChosen: () => false,
    });
    for (const button of this.buttons) {
      button.setEnabled(this.view?.editable === true);
    }
    if (!this.restored) {
      this.restored = true;
      this.figure.setPosition(this.context.state.current.bits);
    }
  }
}
