import type { MoeBlockSpec } from '../families/specification';
import { blockGraph, blockNames } from '../graph/blockGraph';
import { openGraph } from '../runtime/openGraph';
import { floats, type RuntimeOptions } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import { allFinite, explainNonFinite } from './nonFinite';

/** Tokens that one step sends through the block. */
const tokensPerStep = 2048;
const stepDeadlineSeconds = 300;

/**
 * One MoE block on given inputs: `x [tokens, hidden]` → output of the same length, with `k` active experts.
 * @throws TunerError `cancelled`, `nonFiniteWeights`, `runtimeFailed`, `outOfMemory`
 */
export async function runBlock(
  block: MoeBlockSpec,
  x: Float32Array,
  k: number,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<Float32Array> {
  const session = await openGraph((target) => blockGraph(block, target), runtime, { batched: [blockNames.x], block });
  try {
    const output = new Float32Array(x.length);
    const values = tokensPerStep * block.hiddenSize;
    for (let start = 0; start < x.length; start += values) {
      const data = x.subarray(start, Math.min(start + values, x.length));
      job.progress(start / x.length, `Layer ${block.layer}`);
      const results = await step(job, `block of layer ${block.layer}`, stepDeadlineSeconds, () =>
        session.run({
          [blockNames.x]: { type: 'float32', data, shape: [data.length / block.hiddenSize, block.hiddenSize] },
          [blockNames.activeExperts]: { type: 'int64', data: BigInt64Array.of(BigInt(k)), shape: [1] },
        }),
      );
      output.set(floats(results, blockNames.y), start);
    }
    if (!allFinite(output) && allFinite(x)) {
      await explainNonFinite(block, block.layer);
    }
    return output;
  } finally {
    await session.dispose();
  }
}
