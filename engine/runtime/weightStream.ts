import os from 'node:os';
import type { TensorEntry } from '../checkpoint/types';
import { canFeed, fedName, fedTypes } from '../graph/gpu/fedWeights';
import { graphTarget } from './graphTargets';
import type { GraphSource } from './openGraph';
import type { Feeds, OpenSession, RuntimeOptions, RuntimeSession } from './session';
import { WeightBuffers } from './weightBuffers';

/** Share of the free memory of the machine that two layers may take. */
const memoryShare = 0.5;

/** A graph whose weights are fed: equal bytes for equal layers. */
interface FedGraph {
  readonly model: Uint8Array;
  readonly weights: readonly TensorEntry[];
}

/**
 * Runs the same graph for layer after layer on a device: one session, whose weights are fed. While one layer runs, those of the next
 * are read into memory, so that a layer costs its copy to the device, and a slow disk is never idle. Dispose it.
 */
export class WeightStream {
  private session: { readonly model: Uint8Array; readonly opened: RuntimeSession } | undefined;
  /** The layer that runs, and the one that is read. */
  private buffers: [WeightBuffers, WeightBuffers] = [new WeightBuffers(), new WeightBuffers()];
  private readonly graphs = new WeakMap<GraphSource, FedGraph>();

  constructor(private readonly runtime: RuntimeOptions) {}

  /** Whether layers with these tensors can be streamed: on CUDA, with dtypes that can be fed, and memory for two layers. */
  static serves(runtime: RuntimeOptions, tensors: readonly TensorEntry[]): boolean {
    const bytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return runtime.provider === 'cuda' && canFeed(tensors) && 2 * bytes <= memoryShare * os.freemem();
  }

  /** Starts to read the weights of the next layer. Call it when the layer before has been opened. */
  readAhead(build: GraphSource): void {
    const { weights } = this.graph(build);
    if (!this.buffers[1].holds(weights)) {
      this.buffers[1].read(weights);
    }
  }

  /** A layer, ready to run; the one before must not run any more. Disposing it keeps the session for the next. */
  async open(build: GraphSource, open: OpenSession): Promise<RuntimeSession> {
    const { model, weights } = this.graph(build);
    if (!this.buffers[0].holds(weights)) {
      this.buffers.reverse();
    }
    const [buffers] = this.buffers;
    if (!buffers.holds(weights)) {
      buffers.read(weights);
    }
    if (this.session === undefined || Buffer.compare(this.session.model, model) !== 0) {
      await this.closeSession();
      this.session = { model, opened: await open(model, this.runtime) };
    }
    const { opened } = this.session;
    const values = await buffers.get();
    const fed: Feeds = Object.fromEntries(
      weights.map(({ dtype, shape }, at) => [fedName(at), { type: fedTypes[dtype]!.name, data: values[at]!, shape }]),
    ) as Feeds;
    return {
      inputs: opened.inputs.filter((name) => fed[name] === undefined),
      outputs: opened.outputs,
      run: (feeds, outputs) => opened.run({ ...feeds, ...fed }, outputs),
      dispose: () => Promise.resolve(),
    };
  }

  /** Gives the memory of the device back; the next layer opens a session again. */
  async closeSession(): Promise<void> {
    const { session } = this;
    this.session = undefined;
    await session?.opened.dispose();
  }

  async dispose(): Promise<void> {
    await this.closeSession();
    await Promise.all(this.buffers.map((each) => each.dispose()));
  }

  private graph(build: GraphSource): FedGraph {
    const known = this.graphs.get(build);
    if (known !== undefined) {
      return known;
    }
    const weights: TensorEntry[] = [];
    const model = build({ ...graphTarget({ ...this.runtime, fusedExperts: false }), fed: weights });
    const graph = { model, weights };
    this.graphs.set(build, graph);
    return graph;
  }
}
