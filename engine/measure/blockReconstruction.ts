import type { MoeBlockSpec } from '../families/specification';
import { allOutputsGraph, reconstructionNames, routingGraph } from '../graph/reconstructionGraph';
import { withExperts } from '../transform/pruneStage';
import { openGraph } from '../runtime/openGraph';
import { floats, integers, type RuntimeOptions } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import { allFinite, explainNonFinite } from './nonFinite';

const stepDeadlineSeconds = 300;

/** Tokens that run through all experts at once. */
const tokensPerStep = 256;

/** Bytes of expert outputs that may be held: fewer tokens are used where experts are many and wide. */
const heldBytes = 2 ** 29;

/** Tokens of the given inputs that reconstruction of a block can hold the outputs of. */
export function reconstructionTokens(block: MoeBlockSpec, available: number): number {
  const most = Math.floor(heldBytes / (4 * block.experts.length * block.hiddenSize));
  return Math.max(1, Math.min(available, most));
}

/**
 * The routed part of one MoE block with some of its experts, again and again on the same inputs. Every expert runs once on every token;
 * a set of experts then costs one run of the router, which chooses anew among them by the model's own rule.
 */
export class BlockReconstruction {
  private constructor(
    private readonly block: MoeBlockSpec,
    private readonly inputs: Float32Array,
    /** `[tokens, experts, hidden]`. */
    private readonly outputs: Float32Array,
    private readonly runtime: RuntimeOptions,
    private readonly job: JobContext,
    /** The routed sum of all experts, `[tokens, hidden]`. */
    private readonly reference: Float32Array,
    private readonly referenceNorm: number,
  ) {}

  /** @param inputs block inputs `[tokens, hidden]`: as many as {@link reconstructionTokens} allows */
  static async create(
    block: MoeBlockSpec,
    inputs: Float32Array,
    runtime: RuntimeOptions,
    job: JobContext,
  ): Promise<BlockReconstruction> {
    const outputs = await allOutputs(block, inputs, runtime, job);
    const empty = new Float32Array(inputs.length);
    const start = new BlockReconstruction(block, inputs, outputs, runtime, job, empty, 1);
    const reference = await start.routedSum(block.experts.map((_, expert) => expert));
    return new BlockReconstruction(block, inputs, outputs, runtime, job, reference, norm(reference));
  }

  /** ‖Y - Y(keep)‖ / ‖Y‖ over all tokens, Y the routed sum; 0 for a block without output. */
  async loss(keep: readonly number[]): Promise<number> {
    const changed = await this.routedSum(keep);
    let squares = 0;
    for (let at = 0; at < changed.length; at += 1) {
      const difference = changed[at]! - this.reference[at]!;
      squares += difference * difference;
    }
    return this.referenceNorm > 0 ? Math.sqrt(squares) / this.referenceNorm : 0;
  }

  /** Routed sum `[tokens, hidden]` when only these experts are left. */
  async routedSum(keep: readonly number[]): Promise<Float32Array> {
    const { block, inputs, outputs } = this;
    const { hiddenSize } = block;
    const everyone = keep.length === block.experts.length;
    const { experts, gates } = await this.route(everyone ? block : withExperts(block, keep));
    const tokens = inputs.length / hiddenSize;
    const ranks = experts.length / tokens;
    const gated = block.router.apply === 'output';
    const scale = block.routedScale ?? 1;
    const sum = new Float32Array(inputs.length);
    for (let token = 0; token < tokens; token += 1) {
      for (let rank = 0; rank < ranks; rank += 1) {
        const position = Number(experts[token * ranks + rank]);
        const expert = everyone ? position : keep[position]!;
        const gate = scale * (gated ? gates[token * ranks + rank]! : 1);
        const from = (token * block.experts.length + expert) * hiddenSize;
        for (let channel = 0; channel < hiddenSize; channel += 1) {
          sum[token * hiddenSize + channel]! += gate * outputs[from + channel]!;
        }
      }
    }
    return sum;
  }

  private async route(block: MoeBlockSpec): Promise<{ experts: BigInt64Array; gates: Float32Array }> {
    const session = await openGraph((target) => routingGraph(block, target), this.runtime);
    try {
      const shape = [this.inputs.length / block.hiddenSize, block.hiddenSize];
      const results = await step(this.job, `router of layer ${block.layer}`, stepDeadlineSeconds, () =>
        session.run({ [reconstructionNames.x]: { type: 'float32', data: this.inputs, shape } }),
      );
      return {
        experts: integers(results, reconstructionNames.experts),
        gates: floats(results, reconstructionNames.gates),
      };
    } finally {
      await session.dispose();
    }
  }
}

/** Un-gated outputs `[tokens, experts, hidden]` of every expert in the order of the checkpoint. */
async function allOutputs(
  block: MoeBlockSpec,
  inputs: Float32Array,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<Float32Array> {
  const { hiddenSize } = block;
  const count = block.experts.length;
  const all = new Float32Array(inputs.length * count);
  const session = await openGraph((target) => allOutputsGraph(block, target), runtime);
  try {
    for (let start = 0; start < inputs.length; start += tokensPerStep * hiddenSize) {
      const data = inputs.subarray(start, Math.min(start + tokensPerStep * hiddenSize, inputs.length));
      const shape = [data.length / hiddenSize, hiddenSize];
      const results = await step(job, `experts of layer ${block.layer}`, stepDeadlineSeconds, () =>
        session.run({ [reconstructionNames.x]: { type: 'float32', data, shape } }),
      );
      const outputs = floats(results, reconstructionNames.outputs);
      if (!allFinite(outputs)) {
        await explainNonFinite(block, block.layer);
      }
      integers(results, reconstructionNames.experts).forEach((expert, row) => {
        const token = start / hiddenSize + Math.floor(row / count);
        const target = (token * count + Number(expert)) * hiddenSize;
        all.set(outputs.subarray(row * hiddenSize, (row + 1) * hiddenSize), target);
      });
    }
  } finally {
    await session.dispose();
  }
  return all;
}

function norm(values: Float32Array): number {
  let squares = 0;
  for (let at = 0; at < values.length; at += 1) {
    squares += values[at]! * values[at]!;
  }
  return Math.sqrt(squares);
}
