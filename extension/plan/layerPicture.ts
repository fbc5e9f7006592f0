import { localize } from '../common/localize';

/** Colours that stand on light and dark backgrounds alike. */
const colours = { bar: '#7f8ea3', chosen: '#2f81f7' } as const;
const size = { barWidth: 16, gap: 4, height: 48 } as const;

/**
 * A small bar chart of one layer as Markdown: what every number of active experts changes, with the chosen one marked by colour and
 * by a line below it. The picture travels inside the text: nothing is fetched.
 *
 * @param raw change of the output for k = 1, 2, …
 * @param active the chosen k
 */
export function layerPicture(raw: readonly number[], active: number): string {
  const largest = Math.max(...raw);
  if (raw.length < 2 || !(largest > 0)) {
    return '';
  }
  const step = size.barWidth + size.gap;
  const bars = raw.map((value, at) => {
    const height = Math.max(1, Math.round((value / largest) * size.height));
    const chosen = at + 1 === active;
    const x = at * step;
    const bar = rectangle(x, size.height - height, size.barWidth, height, chosen ? colours.chosen : colours.bar);
    return chosen ? bar + rectangle(x, size.height + 2, size.barWidth, 2, colours.chosen) : bar;
  });
  const width = raw.length * step - size.gap;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${size.height + 4}">${bars.join('')}</svg>`;
  const alternative = localize('Output change for 1 to {most} active experts, {active} marked', {
    most: raw.length,
    active,
  });
  return `![${alternative}](data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')})`;
}

function rectangle(x: number, y: number, width: number, height: number, colour: string): string {
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${colour}"/>`;
}
