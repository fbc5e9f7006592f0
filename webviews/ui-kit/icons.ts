/** Outlines on a 16 × 16 grid, drawn for this project: stroked with the text colour. */
const outlines = {
  pulse: 'M1.5 8.5h3l2-5.5 3 10 2-4.5h3',
  sliders: 'M3.5 2v3.5M3.5 9v5M8 2v7M8 12.5V14M12.5 2v1.5M12.5 7v7M2 7.2h3M6.5 10.7h3M11 5.2h3',
  checklist: 'M2 4l1.3 1.3L5.5 3M2 11l1.3 1.3L5.5 10M8 4.3h6M8 11.3h6',
  file: 'M9 1.8H3.5v12.4h9V5.3zM9 1.8v3.5h3.5',
  folder: 'M1.5 3.5h4.3l1.5 1.7h7.2v7.6h-13z',
  table: 'M2 3h12v10H2zM2 6.3h12M2 9.6h12M6.5 3v10',
  warning: 'M8 2l6.3 11.5H1.7zM8 6.3v3.6M8 11.4v.6',
  error: 'M8 1.8a6.2 6.2 0 100 12.4A6.2 6.2 0 008 1.8zM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4',
  history: 'M2.3 8a5.7 5.7 0 101.6-4M3.5 1.8v2.6h2.6M8 4.8V8l2.3 1.6',
  lock: 'M4 7.3h8v6.2H4zM5.6 7.3V4.9a2.4 2.4 0 014.8 0v2.4',
  chevron: 'M6 3.8L10.2 8 6 12.2',
  play: 'M4.5 2.8v10.4L12.8 8z',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  unlock: 'M4 7.3h8v6.2H4zM5.6 7.3V4.9a2.4 2.4 0 014.6-.9',
  down: 'M3.8 6L8 10.2 12.2 6',
  export: 'M8 10V2M5 4.6L8 1.8l3 2.8M3 8v5.5h10V8',
} as const;

export type IconName = keyof typeof outlines;

const svgNamespace = 'http://www.w3.org/2000/svg';

/** Creates a decorative icon; the text beside it carries the meaning. */
export function createIcon(name: IconName): SVGSVGElement {
  const icon = document.createElementNS(svgNamespace, 'svg');
  icon.classList.add('icon', `icon-${name}`);
  icon.setAttribute('viewBox', '0 0 16 16');
  icon.setAttribute('width', '16');
  icon.setAttribute('height', '16');
  icon.setAttribute('aria-hidden', 'true');
  icon.setAttribute('focusable', 'false');
  const path = document.createElementNS(svgNamespace, 'path');
  path.setAttribute('d', outlines[name]);
  icon.append(path);
  return icon;
}
