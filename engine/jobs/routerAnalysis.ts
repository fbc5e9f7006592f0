import type { MoeBlockSpec } from '../families/specification';
import { step, type JobContext } from '../measure/jobContext';
import type { BlockInputs } from '../measure/rewritingWalk';
import { storedBits } from '../methods/quantize/bitSizes';
import { dequantize, type CodeBits, type Matrix } from '../methods/quantize/quantizedMatrix';
import {
  consistentRouter,
  routerDeviation,
  routerLogits,
  type RouterSample,
} from '../methods/quantize/routerConsistency';
import { roundToNearest } from '../methods/quantize/roundToNearest';
import type { RoundingAnalysisResult } from '../protocol/roundingAnalysis';
import { readLinear } from '../transform/readWeight';

/** Tokens of a layer that routers are compared on. */
const sampleTokens = 512;

/** Longest time one layer may take, in seconds. */
const layerDeadlineSeconds = 600;

const widths: readonly CodeBits[] = [8, 4];

/** Two ways to round a router at every width. */
export const routerLevels = widths.flatMap((bits) =>
  ['to nearest', 'router-consistent'].map((name) => ({
    name: `${bits} bits ${name}`,
    bits: (group: number) => storedBits({ weights: group, bits, group, symmetric: true }) / group,
  })),
);

/** What rounding the router of a block would do to the choice of experts, per level of {@link routerLevels}. */
export async function analyseRouter(
  block: MoeBlockSpec,
  inputs: BlockInputs,
  group: number,
  job: JobContext,
): Promise<RoundingAnalysisResult['layers'][number]> {
  const weight = await routerMatrix(block);
  const sample = await routerSample(block, inputs, weight);
  return step(job, `router of layer ${block.layer}`, layerDeadlineSeconds, () => {
    const loss = widths.flatMap((bits) => {
      const nearest = dequantize(roundToNearest(weight, { bits, group, symmetric: true }));
      const { deviation } = consistentRouter(weight, { bits, group }, sample);
      return [routerDeviation(nearest, sample).leadingDivergence, deviation.leadingDivergence];
    });
    return Promise.resolve({ index: block.layer, loss, experts: [] });
  });
}

/** Rows of the router that are left. */
async function routerMatrix({ router, hiddenSize, experts }: MoeBlockSpec): Promise<Matrix> {
  const kept = router.keptRows ?? Array.from(experts.keys());
  const stored = await readLinear({
    weight: router.weight,
    orientation: 'output-major',
    inputSize: hiddenSize,
    outputSize: Math.max(...kept) + 1,
  });
  const values = new Float32Array(kept.length * hiddenSize);
  kept.forEach((row, at) => values.set(stored.subarray(row * hiddenSize, (row + 1) * hiddenSize), at * hiddenSize));
  return { values, rows: kept.length, columns: hiddenSize };
}

/** The first tokens of the text. */
async function routerSample(block: MoeBlockSpec, inputs: BlockInputs, weight: Matrix): Promise<RouterSample> {
  const { hiddenSize } = block;
  const taken: Float32Array[] = [];
  let count = 0;
  for await (const x of inputs()) {
    const rows = Math.min(x.length / hiddenSize, sampleTokens - count);
    taken.push(x.slice(0, rows * hiddenSize));
    count += rows;
    if (count >= sampleTokens) {
      break;
    }
  }
  const all = new Float32Array(count * hiddenSize);
  taken.reduce((at, part) => {
    all.set(part, at);
    return at + part.length;
  }, 0);
  const logits = routerLogits(weight.values, all, weight.rows);
  return { inputs: all, logits, experts: weight.rows, activeExperts: block.activeExperts };
}
