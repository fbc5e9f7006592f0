import { lossTableNames } from '../../engine/protocol/planEditor';
import type { LossTable } from '../../engine/protocol/planEditor';
import type { HeatMapValues } from '../charts/heatMapValues';
import { valueRange } from '../charts/heatMapValues';
import { createColourLegend, createLegend } from '../charts/legend';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { formatMeasured } from '../ui-kit/numbers';
import { createDropdown } from '../ui-kit/toolkit';
import { tableInUse } from './layerState';
import type { LayerState, PlanView } from './layerState';
import { tableLabel } from './lossTableText';
import type { EditorContext } from './section';
import { lossAlong, sensitivityBackground } from './sensitivityBackground';

/** Which table of losses stands behind the bars, with the scale of its colours. */
export class LossTableChooser {
  readonly root: HTMLElement;
  /** What the looks of the bars mean. */
  readonly legend: HTMLElement = element('div', { className: 'legends' }, [
    createLegend([
      { shape: 'bar', label: text('planLegendBar') },
      { shape: 'selected', label: text('planLegendSelected') },
      { shape: 'hatched', label: text('planLegendLocked') },
      { shape: 'dashes', label: text('planLegendAverage') },
    ]),
  ]);
  private view: PlanView | undefined;
  private drawn: { readonly key: readonly unknown[]; readonly values: HeatMapValues } | undefined;
  private readonly scale = createColourLegend();
  private readonly tables;

  /** @param onChange called when the person chose another table */
  constructor(
    private readonly context: EditorContext,
    onChange: () => void,
  ) {
    this.tables = createDropdown(text('planTableChoice'), (value) => {
      const name = lossTableNames.find((known) => known === value);
      if (name !== undefined && name !== this.table?.name) {
        context.state.change({ lossTable: name });
        context.post({ kind: 'useTable', table: name });
        onChange();
      }
    });
    this.root = element('div', { className: 'table-choice' }, [
      element('span', { className: 'note', text: text('planTableChoice') }),
      this.tables.root,
      this.scale.root,
    ]);
  }

  get table(): LossTable | undefined {
    return this.view && tableInUse(this.view.measurements, this.context.state.current.lossTable);
  }

  update(view: PlanView): void {
    this.view = view;
  }

  /** Shows what can be chosen. */
  render(): void {
    const { table } = this;
    this.root.hidden = table === undefined;
    this.tables.update(
      (this.view?.measurements.tables ?? []).map((each) => ({ value: each.name, label: tableLabel(each) })),
      table?.name,
    );
  }

  /** The map behind the bars; the same object as long as it is the same. */
  background(layers: readonly LayerState[]): HeatMapValues | undefined {
    const { table } = this;
    if (table === undefined) {
      return undefined;
    }
    const levels = Math.max(1, ...layers.map(({ active, trained }) => Math.max(active, trained)));
    const key = [table, layers.length, levels];
    if (this.drawn === undefined || key.some((part, at) => part !== this.drawn?.key[at])) {
      this.drawn = { key, values: sensitivityBackground(table, layers, levels) };
      this.showScale(this.drawn.values, table);
    }
    return this.drawn.values;
  }

  private showScale(values: HeatMapValues, table: LossTable): void {
    const range = valueRange(values);
    if (range !== undefined) {
      const { minimum, maximum } = range;
      const at = (share: number): string => formatMeasured(lossAlong(minimum, maximum, share));
      this.scale.update(at(0), at(0.5), at(1));
    }
    this.scale.root.title = tableLabel(table);
  }
}
