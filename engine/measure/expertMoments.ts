import type { MoeBlockSpec } from '../families/specification';
import { momentsGraph, momentsNames } from '../graph/momentsGraph';
import { openGraph } from '../runtime/openGraph';
import { floats, integers, type RuntimeOptions } from '../runtime/session';
import { step, type JobContext } from './jobContext';

const stepDeadlineSeconds = 600;

/** Tokens of one product: enough for full matrix speed. */
const tokensPerStep = 8192;

/** Bytes of moments (float32) that one run may give. */
const momentsBytes = 2 ** 28;

/** Σ_t c_t x_t xᵀ_t, `[size, size]`, over so many tokens. */
export interface SecondMoments {
  readonly size: number;
  readonly moments: Float64Array;
  readonly tokens: number;
}

/** What one expert is given on calibration text. */
export interface MeasuredExpert {
  readonly expert: number;
  /** Inputs of gate and up. */
  readonly input: SecondMoments;
  /** Inputs of down. */
  readonly intermediate: SecondMoments;
}

/**
 * Second moments of the inputs of every expert of a block, a few experts at a time, so that memory does not grow with their number.
 * @param inputs block inputs `[tokens, hidden]`, asked for once per group of experts
 * @param gatePower tokens count by gate^(2 · gatePower)
 */
export async function* expertMoments(
  block: MoeBlockSpec,
  inputs: () => AsyncIterable<Float32Array>,
  gatePower: 0 | 0.5 | 1,
  runtime: RuntimeOptions,
  job: JobContext,
): AsyncIterable<MeasuredExpert> {
  const { hiddenSize } = block;
  const width = block.experts[0]!.down.inputSize;
  const perRun = Math.max(1, Math.floor(momentsBytes / (4 * (hiddenSize ** 2 + width ** 2))));
  for (let first = 0; first < block.experts.length; first += perRun) {
    const experts = Array.from({ length: Math.min(perRun, block.experts.length - first) }, (_, at) => first + at);
    const sums = experts.map((expert) => {
      const { inputSize } = block.experts[expert]!.down;
      return {
        tokens: 0,
        input: new Float64Array(hiddenSize ** 2),
        intermediate: new Float64Array(inputSize ** 2),
      };
    });
    const session = await openGraph((target) => momentsGraph(block, experts, gatePower, target), runtime);
    try {
      for await (const x of inputs()) {
        for (let start = 0; start < x.length; start += tokensPerStep * hiddenSize) {
          const data = x.subarray(start, start + tokensPerStep * hiddenSize);
          const results = await step(job, `moments of layer ${block.layer}`, stepDeadlineSeconds, () =>
            session.run({
              [momentsNames.x]: { type: 'float32', data, shape: [data.length / hiddenSize, hiddenSize] },
              [momentsNames.activeExperts]: {
                type: 'int64',
                data: BigInt64Array.of(BigInt(block.activeExperts)),
                shape: [1],
              },
            }),
          );
          const counts = integers(results, momentsNames.counts);
          sums.forEach((sum, at) => {
            sum.tokens += Number(counts[at]);
            addPart(sum.input, floats(results, momentsNames.input), at);
            addPart(sum.intermediate, floats(results, momentsNames.intermediate), at);
          });
        }
      }
    } finally {
      await session.dispose();
    }
    for (const [at, expert] of experts.entries()) {
      const { tokens, input, intermediate } = sums[at]!;
      yield {
        expert,
        input: { size: hiddenSize, moments: input, tokens },
        intermediate: { size: Math.sqrt(intermediate.length), moments: intermediate, tokens },
      };
    }
  }
}

function addPart(sum: Float64Array, values: Float32Array, part: number): void {
  const start = part * sum.length;
  for (let at = 0; at < sum.length; at += 1) {
    sum[at]! += values[start + at]!;
  }
}
