import { expect, test } from 'vitest';
import { heatMapLimits, measureHeatMap } from '../support/heatMapBenchmark';

test('a heat map of 58 × 256 cells paints, updates and answers the pointer within its limits', async () => {
  const times = await measureHeatMap(58, 256, 10);
  console.log('heat map 58 × 256, medians in ms:', times);
  expect(times.firstPaint).toBeLessThan(heatMapLimits.firstPaint);
  expect(times.update).toBeLessThan(heatMapLimits.update);
  expect(times.hover).toBeLessThan(heatMapLimits.hover);
});

test('a heat map of 94 × 512 cells, the largest in use, stays as quick to the hand', async () => {
  const times = await measureHeatMap(94, 512, 10);
  console.log('heat map 94 × 512, medians in ms:', times);
  expect(times.firstPaint).toBeLessThan(heatMapLimits.firstPaint);
  expect(times.update).toBeLessThan(2 * heatMapLimits.update);
  expect(times.hover).toBeLessThan(heatMapLimits.hover);
});
