import { element } from '../ui-kit/elements';
import { cividisTable, colourSteps, cssColour } from './colourScale';

/** Looks of a legend mark; each is a shape as well as a colour. */
export type MarkShape =
  | 'line'
  | 'dashes'
  | 'ring'
  | 'triangle'
  | 'diamond'
  | 'bar'
  | 'step'
  | 'square'
  | 'dot'
  | 'cross'
  | 'warmTriangle'
  | 'coolDiamond'
  | 'star'
  | 'selected'
  | 'hatched'
  | 'crossed'
  | 'struck'
  | 'number'
  | 'corner';

export interface LegendEntry {
  readonly shape: MarkShape;
  readonly label: string;
}

/** A row of marks with their names. */
export function createLegend(entries: readonly LegendEntry[]): HTMLElement {
  const items = entries.map(({ shape, label }) =>
    element('span', { className: 'legend-entry' }, [
      element('span', { className: `legend-mark ${shape}`, attributes: { 'aria-hidden': 'true' } }),
      element('span', { text: label }),
    ]),
  );
  return element('div', { className: 'legend' }, items);
}

/** The colour scale of a heat map with the values at its ends and in its middle. */
export interface ColourLegend {
  readonly root: HTMLElement;
  update(minimum: string, middle: string, maximum: string): void;
}

const gradientStops = 16;

export function createColourLegend(): ColourLegend {
  const table = cividisTable();
  const ramp = element('div', { className: 'colour-ramp', attributes: { 'aria-hidden': 'true' } });
  const stops: string[] = [];
  for (let stop = 0; stop <= gradientStops; stop += 1) {
    stops.push(cssColour(table, Math.round((stop / gradientStops) * (colourSteps - 1))));
  }
  ramp.style.backgroundImage = `linear-gradient(to right, ${stops.join(', ')})`;
  const labels = [element('span'), element('span'), element('span')] as const;
  const root = element('div', { className: 'colour-legend' }, [
    ramp,
    element('div', { className: 'colour-labels' }, [...labels]),
  ]);
  return {
    root,
    update: (minimum, middle, maximum) => {
      labels[0].textContent = minimum;
      labels[1].textContent = middle;
      labels[2].textContent = maximum;
    },
  };
}
