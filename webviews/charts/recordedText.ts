/** A text that a chart wrote, with everything that decides how it looks. */
interface RecordedText {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly transform: DOMMatrix;
  readonly font: string;
  readonly colour: string;
  readonly align: CanvasTextAlign;
  readonly baseline: CanvasTextBaseline;
}

const anchors: Readonly<Record<CanvasTextAlign, string>> = {
  left: 'start',
  start: 'start',
  center: 'middle',
  right: 'end',
  end: 'end',
};

const baselines: Readonly<Record<CanvasTextBaseline, string>> = {
  alphabetic: 'alphabetic',
  ideographic: 'ideographic',
  bottom: 'text-after-edge',
  middle: 'central',
  top: 'text-before-edge',
  hanging: 'hanging',
};

/**
 * Takes over the texts of a recording context and gives them as SVG elements: its own way measures them with style attributes in
 * the page, which the page's policy forbids.
 */
export function recordTexts(context: CanvasRenderingContext2D): () => string {
  const texts: RecordedText[] = [];
  context.fillText = (text, x, y) => {
    texts.push({
      text,
      x,
      y,
      transform: context.getTransform(),
      font: context.font,
      colour: typeof context.fillStyle === 'string' ? context.fillStyle : 'currentColor',
      align: context.textAlign,
      baseline: context.textBaseline,
    });
  };
  return () => texts.map(elementOf).join('');
}

function elementOf({ text, x, y, transform, font, colour, align, baseline }: RecordedText): string {
  const { a, b, c, d, e, f } = transform;
  const attributes = {
    x,
    y,
    transform: `matrix(${[a, b, c, d, e, f].join(' ')})`,
    fill: colour,
    style: `font: ${font}`,
    'text-anchor': anchors[align],
    'dominant-baseline': baselines[baseline],
  };
  const list = Object.entries(attributes).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return `<text ${list.join(' ')}>${escaped(text)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
