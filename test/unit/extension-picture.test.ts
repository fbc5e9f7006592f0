import { expect, test } from 'vitest';
import { layerPicture } from '../../extension/plan/layerPicture';

function svgOf(markdown: string): string {
  const [, data] = /^!\[[^\]]+\]\(data:image\/svg\+xml;base64,([^)]+)\)$/.exec(markdown)!;
  return Buffer.from(data!, 'base64').toString();
}

test('the picture of a layer has one bar per number of experts, as high as its value, the chosen one marked twice', () => {
  const markdown = layerPicture([0.8, 0.4, 0.1, 0], 2);
  expect(markdown).toContain('1 to 4 active experts, 2 marked');
  const bars = [...svgOf(markdown).matchAll(/x="(\d+)" y="(\d+)" width="16" height="(\d+)" fill="(#\w+)"/g)];
  expect(bars.map(([, , , height]) => Number(height))).toEqual([48, 24, 2, 6, 1]);
  expect(bars.filter(([, , , , fill]) => fill === '#2f81f7').map(([, x]) => Number(x))).toEqual([20, 20]);
});

test('nothing is drawn where there is nothing to compare', () => {
  expect(layerPicture([0], 1)).toBe('');
  expect(layerPicture([0, 0], 1)).toBe('');
  expect(layerPicture([], 1)).toBe('');
});
