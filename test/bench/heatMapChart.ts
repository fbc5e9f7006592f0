import { heatMapLimits, measureHeatMap } from '../support/heatMapBenchmark';

const sizes = [
  [24, 8],
  [58, 256],
] as const;

for (const [rows, columns] of sizes) {
  const times = await measureHeatMap(rows, columns, 15);
  for (const name of ['firstPaint', 'update', 'hover'] as const) {
    console.log(
      `heat map ${rows} × ${columns}, ${name}: ${times[name].toPrecision(3)} ms (limit ${heatMapLimits[name]})`,
    );
  }
}
