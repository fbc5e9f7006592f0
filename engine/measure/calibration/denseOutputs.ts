import type { MoeBlockSpec } from '../../families/specification';
import { denseExpertsGraph, denseNames } from '../../graph/denseExpertsGraph';
import { openGraph } from '../../runtime/openGraph';
import { floats, type RuntimeOptions } from '../../runtime/session';
import { step, type JobContext } from '../jobContext';
import type { DenseOutputs } from '../../methods/statistics';

/** Bytes of outputs `[tokens, experts, hidden]` (float32) of one step: large, since every step converts the weights of all experts. */
const outputBytesPerStep = 2 ** 28;
const stepDeadlineSeconds = 600;

/**
 * Runs every expert of a block on all given inputs `[tokens, hidden]`.
 * @throws TunerError `cancelled`, `runtimeFailed`, `outOfMemory`
 */
export async function measureDenseOutputs(
  block: MoeBlockSpec,
  inputs: Float32Array,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<DenseOutputs> {
  const count = block.experts.length;
  const width = block.hiddenSize;
  const tokens = inputs.length / width;
  const tokensPerStep = Math.max(1, Math.floor(outputBytesPerStep / (4 * count * width)));
  const sums = new Float64Array(count * width);
  const gram = new Float64Array(count * count);
  const cosines = new Float64Array(count * count);
  const session = await openGraph((target) => denseExpertsGraph(block, target), runtime);
  try {
    for (let start = 0; start < tokens; start += tokensPerStep) {
      const data = inputs.subarray(start * width, Math.min(tokens, start + tokensPerStep) * width);
      const results = await step(job, `all experts of layer ${block.layer}`, stepDeadlineSeconds, () =>
        session.run({ [denseNames.x]: { type: 'float32', data, shape: [data.length / width, width] } }),
      );
      for (const [into, name] of [
        [sums, denseNames.sums],
        [gram, denseNames.gram],
        [cosines, denseNames.cosines],
      ] as const) {
        const values = floats(results, name);
        values.forEach((value, at) => (into[at]! += value));
      }
    }
  } finally {
    await session.dispose();
  }
  return {
    tokens,
    meanOutputs: Float32Array.from(sums, (value) => value / tokens),
    gram,
    cosines: cosines.map((value) => value / tokens),
  };
}
