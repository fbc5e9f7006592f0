import type { MoeBlockSpec } from '../families/specification';
import { chosenExpertsGraph, chosenExpertsNames } from '../graph/chosenExpertsGraph';
import { openGraph } from '../runtime/openGraph';
import { integers, type RuntimeOptions } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import type { BlockInputs } from './rewritingWalk';

const stepDeadlineSeconds = 600;

/** The largest sizes per channel of the inputs of a block. */
export interface LargestInputs {
  /** Of all tokens: what the router and shared experts are given. */
  readonly all: Float32Array;
  /** Of the tokens that chose the expert, by expert; zeros where none did. */
  readonly experts: readonly Float32Array[];
}

/** What every expert of a block is given at most, channel by channel. */
export async function largestInputs(
  block: MoeBlockSpec,
  inputs: BlockInputs,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<LargestInputs> {
  const { hiddenSize, activeExperts } = block;
  const all = new Float32Array(hiddenSize);
  const experts = block.experts.map(() => new Float32Array(hiddenSize));
  const session = await openGraph((target) => chosenExpertsGraph(block, target), runtime);
  try {
    for await (const x of inputs()) {
      const tokens = x.length / hiddenSize;
      const results = await step(job, `router of layer ${block.layer}`, stepDeadlineSeconds, () =>
        session.run({
          [chosenExpertsNames.x]: { type: 'float32', data: x, shape: [tokens, hiddenSize] },
          [chosenExpertsNames.activeExperts]: {
            type: 'int64',
            data: BigInt64Array.of(BigInt(activeExperts)),
            shape: [1],
          },
        }),
      );
      const chosen = integers(results, chosenExpertsNames.experts);
      const perToken = chosen.length / tokens;
      for (let token = 0; token < tokens; token += 1) {
        const row = x.subarray(token * hiddenSize, (token + 1) * hiddenSize);
        enlarge(all, row);
        for (let rank = 0; rank < perToken; rank += 1) {
          enlarge(experts[Number(chosen[token * perToken + rank])]!, row);
        }
      }
    }
  } finally {
    await session.dispose();
  }
  return { all, experts };
}

function enlarge(largest: Float32Array, row: Float32Array): void {
  for (let channel = 0; channel < row.length; channel += 1) {
    const size = Math.abs(row[channel]!);
    if (size > largest[channel]!) {
      largest[channel] = size;
    }
  }
}
