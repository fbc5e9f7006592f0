import { expect, test } from 'vitest';
import { heatMapLimits, measureHeatMap } from '../support/heatMapBenchmark';

/** Other work may share the machine of a test; `node scripts/bench.mjs heatMapChart` holds the limits themselves. */
const onBusyMachines = 4;

test('a heat map of 58 × 256 cells paints, updates and answers the pointer within its limits', async () => {
  const times = await measureHeatMap(58, 256, 10);
  console.log('heat map 58 × 256, medians in ms:', times);
  expect(times.firstPaint).toBeLessThan(onBusyMachines * heatMapLimits.firstPaint);
  expect(times.update).toBeLessThan(onBusyMachines * heatMapLimits.update);
  expect(times.hover).toBeLessThan(onBusyMachines * heatMapLimits.hover);
});

test('a heat map of 94 × 512 cells, the largest in use, stays as quick to the hand', async () => {
  const times = await measureHeatMap(94, 512, 10);
  console.log('heat map 94 × 512, medians in ms:', times);
  expect(times.firstPaint).toBeLessThan(onBusyMachines * heatMapLimits.firstPaint);
  expect(times.update).toBeLessThan(2 * onBusyMachines * heatMapLimits.update);
  expect(times.hover).toBeLessThan(onBusyMachines * heatMapLimits.hover);
});
