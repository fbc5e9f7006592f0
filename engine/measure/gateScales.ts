import type { MoeBlockSpec } from '../families/specification';
import { gateScaleGraph, gateScaleNames } from '../graph/gateScaleGraph';
import { openGraph } from '../runtime/openGraph';
import { floats, type RuntimeOptions } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import { explainNonFinite } from './nonFinite';
import type { ProbeBatches } from './probeInputs';

/** Bytes of routed outputs `[tokens, k0, hidden]` that one step may hold. */
const outputBytesPerStep = 2 ** 27;
const stepDeadlineSeconds = 300;

/**
 * The factor on the routed output of one layer at every k that brings it closest to the output at k0, in least squares over all
 * probe tokens: α(k) = Σ⟨r_k, r_k0⟩ / Σ‖r_k‖², the constant that can be folded into the down projections of a layer
 * ("Training-Free Halving of Activated Experts", arXiv 2609.04575, folded to one number).
 * @returns one factor for k = 1 … k0; the last is 1, and so are those of layers whose routed output vanishes
 * @throws TunerError `cancelled`, `nonFiniteWeights`, `runtimeFailed`, `outOfMemory`
 */
export async function measureGateScales(
  block: MoeBlockSpec,
  probes: ProbeBatches,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<number[]> {
  const { activeExperts: k0, hiddenSize: width } = block;
  const products = Array<number>(k0).fill(0);
  const squares = Array<number>(k0).fill(0);
  const values = Math.max(1, Math.floor(outputBytesPerStep / (4 * k0 * width))) * width;
  const session = await openGraph((target) => gateScaleGraph(block, target), runtime);
  try {
    for (let batch = 0; batch < probes.count; batch += 1) {
      const x = probes.batch(batch);
      for (let start = 0; start < x.length; start += values) {
        const data = x.subarray(start, start + values);
        const shape = [data.length / width, width];
        const results = await step(job, `gate scale of layer ${block.layer}`, stepDeadlineSeconds, () =>
          session.run({ [gateScaleNames.x]: { type: 'float32', data, shape } }),
        );
        addByRank(products, floats(results, gateScaleNames.product));
        addByRank(squares, floats(results, gateScaleNames.square));
      }
    }
  } finally {
    await session.dispose();
  }
  if (![...products, ...squares].every(Number.isFinite)) {
    await explainNonFinite(block, block.layer);
  }
  return products.map((product, at) => (at === k0 - 1 || squares[at] === 0 ? 1 : product / squares[at]!));
}

function addByRank(sums: number[], values: Float32Array): void {
  values.forEach((value, at) => {
    sums[at % sums.length]! += value;
  });
}
