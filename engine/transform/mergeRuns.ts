import type { ActivationSpec, FeedForwardSpec, MoeBlockSpec } from '../families/specification';
import {
  networkGraph,
  networkNames,
  productGraph,
  productNames,
  routingGraph,
  routingNames,
} from '../graph/networkGraph';
import { step, type JobContext } from '../measure/jobContext';
import type { MatrixProduct } from '../methods/merge/matrixProduct';
import { floats, integers, openSession, type RuntimeSession } from '../runtime/session';

/**
 * Merged weights are computed on the processor whatever provider the models run on: the same plan then gives the same bytes.
 */
const mergeRuntime = { provider: 'cpu', threads: 0 } as const;

const deadlineSeconds = 300;

/** Matrix products on ONNX Runtime. Dispose it. */
export class RuntimeProducts {
  private session: Promise<RuntimeSession> | undefined;

  constructor(private readonly job: JobContext) {}

  readonly product: MatrixProduct = async (a, b, rows, inner, columns) => {
    this.session ??= openSession(productGraph(), mergeRuntime);
    const session = await this.session;
    const results = await step(this.job, 'matrix product', deadlineSeconds, () =>
      session.run({
        [productNames.a]: { type: 'float32', data: a, shape: [rows, inner] },
        [productNames.b]: { type: 'float32', data: b, shape: [columns, inner] },
      }),
    );
    return floats(results, productNames.product);
  };

  async dispose(): Promise<void> {
    await (await this.session)?.dispose();
    this.session = undefined;
  }
}

export interface NetworkRun {
  /** What enters the down projection, `[tokens, width]`. */
  readonly intermediate: Float32Array;
  /** `[tokens, hidden]`. */
  readonly y: Float32Array;
}

/** Runs one expert alone on `x [tokens, hidden]`, at least one token. */
export async function runNetwork(
  network: FeedForwardSpec,
  activation: ActivationSpec,
  x: Float32Array,
  job: JobContext,
): Promise<NetworkRun> {
  const session = await openSession(networkGraph(network, activation), mergeRuntime);
  try {
    const hiddenSize = network.down.outputSize;
    const results = await step(job, 'expert', deadlineSeconds, () =>
      session.run({ [networkNames.x]: { type: 'float32', data: x, shape: [x.length / hiddenSize, hiddenSize] } }),
    );
    return { intermediate: floats(results, networkNames.intermediate), y: floats(results, networkNames.y) };
  } finally {
    await session.dispose();
  }
}

/** Gates of every token and expert of a block, `[tokens, experts]`, 0 where an expert is not chosen. */
export async function denseGates(block: MoeBlockSpec, x: Float32Array, job: JobContext): Promise<Float32Array> {
  const { hiddenSize, activeExperts, router } = block;
  const experts = block.experts.length;
  const tokens = x.length / hiddenSize;
  const session = await openSession(routingGraph(router, experts, hiddenSize), mergeRuntime);
  try {
    const results = await step(job, 'router', deadlineSeconds, () =>
      session.run({
        [routingNames.x]: { type: 'float32', data: x, shape: [tokens, hiddenSize] },
        [routingNames.activeExperts]: { type: 'int64', data: BigInt64Array.of(BigInt(activeExperts)), shape: [1] },
      }),
    );
    const chosen = integers(results, routingNames.experts);
    const gates = floats(results, routingNames.gates);
    const ranks = chosen.length / tokens;
    const dense = new Float32Array(tokens * experts);
    chosen.forEach((expert, at) => {
      dense[Math.floor(at / ranks) * experts + Number(expert)] = gates[at]!;
    });
    return dense;
  } finally {
    await session.dispose();
  }
}
