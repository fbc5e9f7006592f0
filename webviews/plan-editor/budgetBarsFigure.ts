import { BudgetBars } from '../charts/budgetBars';
import type { HeatMapValues } from '../charts/heatMapValues';
import { text } from '../strings';
import { element, setText, uniqueId } from '../ui-kit/elements';
import { formatDecimals } from '../ui-kit/numbers';
import { listenToBarDrag } from './barDrag';
import { barIntent } from './barKeys';
import type { BarIntent } from './barKeys';
import type { LayerState } from './layerState';

/** What the bars show. */
export interface BarsPicture {
  readonly layers: readonly LayerState[];
  readonly selected: ReadonlySet<number>;
  /** Layer with the cursor. */
  readonly cursor: number;
  readonly background: HeatMapValues | undefined;
  readonly editable: boolean;
  /** The whole chart in one sentence. */
  readonly sentence: string;
}

export interface BarsOptions {
  /** One line about a layer, for the value text and the readout. */
  readonly describe: (layer: LayerState) => string;
  readonly onIntent: (intent: BarIntent, position: number) => void;
  /** A press with the pointer, with the keys that were held. */
  readonly onPress: (position: number, held: { readonly extend: boolean; readonly toggle: boolean }) => void;
  readonly onDrag: (position: number, levels: number) => void;
  readonly onDragEnd: (kept: boolean) => void;
  /** A key was let go, or the focus left: what keys began is done. */
  readonly onRelease: () => void;
  readonly onFocus: (position: number) => void;
  /** The pointer is over a layer; undefined when it left. */
  readonly onHover: (position: number | undefined) => void;
}

/** Bars that are changed by pointer and keyboard: each layer is a spin button over its column of the canvas. */
export class BudgetBarsFigure {
  readonly root: HTMLElement;
  private readonly canvas = element('canvas', { attributes: { role: 'img' } });
  private readonly strip: HTMLElement;
  private readonly readout = element('p', { className: 'readout' });
  private readonly chart: BudgetBars;
  private readonly stopDrag: { dispose(): void };
  private picture: BarsPicture | undefined;
  private buttons: HTMLElement[] = [];

  constructor(private readonly options: BarsOptions) {
    const hint = element('p', {
      className: 'visually-hidden',
      text: text('planBarsHint'),
      attributes: { id: uniqueId('hint') },
    });
    this.strip = element('div', {
      className: 'bar-strip',
      attributes: { role: 'group', 'aria-label': text('planBarsGroup'), 'aria-describedby': hint.id },
    });
    const plot = element('div', { className: 'plot' }, [this.canvas, this.strip]);
    const scroller = element('div', { className: 'bar-scroller' }, [plot]);
    this.root = element('div', { className: 'budget-bars' }, [hint, scroller, this.readout]);
    this.chart = new BudgetBars(this.canvas, () => {
      this.placeStrip();
    });
    this.stopDrag = listenToBarDrag({
      surface: this.strip,
      positionAt: (clientX) => this.positionAt(clientX),
      levelHeight: () => this.strip.clientHeight / this.maximum(),
      canDrag: (position) => this.picture?.editable === true && this.picture.layers[position]?.locked === false,
      onPress: (position, event) => {
        // Before the focus moves: what is extended begins at the layer that had it.
        options.onPress(position, { extend: event.shiftKey, toggle: event.ctrlKey || event.metaKey });
        this.focus(position);
      },
      onDrag: options.onDrag,
      onEnd: options.onDragEnd,
      onHover: options.onHover,
    });
    this.strip.addEventListener('keydown', (event) => {
      this.keyPressed(event);
    });
    for (const name of ['keyup', 'focusout']) {
      this.strip.addEventListener(name, options.onRelease);
    }
    this.strip.addEventListener('focusin', (event) => {
      const position = this.buttons.indexOf(event.target as HTMLElement);
      if (position >= 0) {
        options.onFocus(position);
      }
    });
  }

  update(picture: BarsPicture): void {
    this.picture = picture;
    const { layers, selected } = picture;
    this.canvas.setAttribute('aria-label', picture.sentence);
    this.root.style.setProperty('--bars', String(layers.length));
    this.chart.update({
      labels: layers.map(({ name }) => name),
      bars: layers.map(({ active, locked, position }) => ({ value: active, locked, selected: selected.has(position) })),
      maximum: this.maximum(),
      average: layers.reduce((sum, { active }) => sum + active, 0) / Math.max(1, layers.length),
      background: picture.background,
      layerTitle: text('layerAxis'),
      valueTitle: text('expertsAxis'),
    });
    this.updateButtons(picture);
  }

  /** Says where the cursor or the pointer is. */
  look(position: number | undefined): void {
    const layer = this.picture?.layers[position ?? this.picture.cursor];
    setText(this.readout, layer === undefined ? '' : this.options.describe(layer));
  }

  focus(position: number): void {
    this.buttons[position]?.focus({ preventScroll: true });
  }

  dispose(): void {
    this.stopDrag.dispose();
    this.chart.dispose();
    this.root.remove();
  }

  private maximum(): number {
    return Math.max(1, ...(this.picture?.layers.map(({ active, trained }) => Math.max(active, trained)) ?? []));
  }

  private positionAt(clientX: number): number | undefined {
    const { left, width } = this.strip.getBoundingClientRect();
    const count = this.buttons.length;
    const position = Math.floor(((clientX - left) / width) * count);
    return position >= 0 && position < count ? position : undefined;
  }

  private placeStrip(): void {
    // Called once by the chart's own constructor, before there is a chart here.
    const chart = this.chart as BudgetBars | undefined;
    if (chart === undefined) {
      return;
    }
    const { left, top, width, height } = chart.area;
    Object.assign(this.strip.style, {
      left: `${String(left)}px`,
      top: `${String(top)}px`,
      width: `${String(width)}px`,
      height: `${String(height)}px`,
    });
  }

  private updateButtons({ layers, selected, cursor, editable }: BarsPicture): void {
    if (this.buttons.length !== layers.length) {
      this.buttons = layers.map(() =>
        element('div', { className: 'layer-bar', attributes: { role: 'spinbutton', 'aria-valuemin': '1' } }),
      );
      this.strip.replaceChildren(...this.buttons);
    }
    layers.forEach((layer, position) => {
      const button = this.buttons[position];
      const label = text(selected.has(position) ? 'planBarSelected' : 'planBar', { layer: layer.name });
      const values: Readonly<Record<string, string>> = {
        tabindex: position === cursor ? '0' : '-1',
        'aria-label': label,
        'aria-valuemax': String(Math.max(layer.trained, layer.active)),
        'aria-valuenow': String(layer.active),
        'aria-valuetext': this.options.describe(layer),
        'aria-readonly': String(!editable || layer.locked),
      };
      for (const [name, value] of Object.entries(values)) {
        if (button?.getAttribute(name) !== value) {
          button?.setAttribute(name, value);
        }
      }
    });
  }

  private keyPressed(event: KeyboardEvent): void {
    const position = this.buttons.indexOf(event.target as HTMLElement);
    const intent = position < 0 ? undefined : barIntent(event, position, this.buttons.length);
    if (intent !== undefined) {
      event.preventDefault();
      this.options.onIntent(intent, position);
    }
  }
}

/** The bars in one sentence. */
export function barsSentence(layers: readonly LayerState[]): string {
  const numbers = layers.map(({ active }) => active);
  const minimum = Math.min(...numbers);
  const maximum = Math.max(...numbers);
  const total = numbers.reduce((sum, active) => sum + active, 0);
  return text('budgetSentence', {
    rows: layers.length,
    minimum,
    minimumLayer: layers[numbers.indexOf(minimum)]?.name ?? '',
    maximum,
    maximumLayer: layers[numbers.indexOf(maximum)]?.name ?? '',
    total,
    average: formatDecimals(total / Math.max(1, layers.length), 2),
  });
}
