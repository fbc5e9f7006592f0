import type { MeasuredObjective, MeasuredRow } from '../methods/budgets/endToEnd';
import type { AllocationQuality } from '../protocol/budget';
import type { AllocationMeasurements } from './allocationMeasurements';

/** One number of a measurement, as the objective reads it. */
const readings: Readonly<Record<MeasuredObjective['measures'], (quality: AllocationQuality) => number>> = {
  kl: ({ kl }) => kl,
  'log-perplexity': ({ logPerplexity }) => logPerplexity,
  accuracy: ({ accuracy }) => accuracy,
};

/**
 * Measures the table of an objective on the whole model: for every MoE layer and k, what happens when that layer alone
 * runs at k (later layers as trained, or at one expert). Rows come from the cache where they were measured before.
 */
export async function measureRows(
  objective: MeasuredObjective,
  layers: readonly number[],
  measurements: AllocationMeasurements,
  report: (fraction: number, message: string) => void,
): Promise<MeasuredRow[]> {
  const { trained } = measurements;
  const read = readings[objective.measures];
  const total = trained.reduce((sum, k) => sum + k, 0);
  let done = 0;
  const rows: MeasuredRow[] = [];
  for (const [position, layer] of layers.entries()) {
    const values: number[] = [];
    for (let k = 1; k <= trained[position]!; k += 1) {
      report(done / total, `Layer ${layer} with ${k} active experts`);
      const allocation = trained.map((full, at) => {
        if (at === position) {
          return k;
        }
        return at > position && objective.laterLayers === 'one' ? 1 : full;
      });
      values.push(read(await measurements.measure(allocation)));
      done += 1;
    }
    rows.push({ layer, values });
  }
  return rows;
}
