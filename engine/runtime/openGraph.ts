import { cpuTarget, type GraphTarget } from '../graph/graphTarget';
import type { MoeBlockSpec } from '../families/specification';
import { TunerError } from '../protocol/errors';
import type { DeviceJournal } from './deviceJournal';
import { memoryPlan } from './deviceMemory';
import { graphTarget } from './graphTargets';
import { cutRows, joinRows } from './rowRanges';
import {
  openSession,
  type Feeds,
  type OpenSession,
  type Results,
  type RuntimeOptions,
  type RuntimeSession,
} from './session';
import { SplitExperts } from './splitExperts';
import type { WeightStream } from './weightStream';

/** Builds a graph for one target; called again where the work moves to the processor. */
export type GraphSource = (target: GraphTarget) => Uint8Array;

export interface GraphOptions {
  /**
   * Inputs whose first axis counts independent rows, as that of every output does: a run that does not fit into the
   * memory of the device is cut along it. Without any, it moves to the processor at once.
   */
  readonly batched?: readonly string[];
  /** Outputs that are sums over these rows instead. */
  readonly summed?: readonly string[];
  /** The block whose experts the graph runs: where they do not fit into the memory of the device, they run in groups. */
  readonly block?: MoeBlockSpec | undefined;
  /** Feeds the weights of layer after layer to one session, where the provider gains by it. */
  readonly stream?: WeightStream | undefined;
  /**
   * Whether the session will run so often that its first run may take a second: only then is the fused operator of
   * experts worth its set-up.
   */
  readonly manyRuns?: boolean;
}

/** Fewest tokens of one run before experts are split instead: every run converts all weights. */
const fewestTokens = 256;

/**
 * Loads a graph in the form that suits the provider. Where the device runs out of memory, experts run in groups, runs get smaller, and
 * then move to the processor; where it fails for good, the rest of the job runs on the processor. The journal of `runtime` tells it.
 * @throws TunerError `runtimeFailed`, `outOfMemory`
 */
export async function openGraph(
  build: GraphSource,
  runtime: RuntimeOptions,
  options: GraphOptions = {},
): Promise<RuntimeSession> {
  const open = runtime.open ?? openSession;
  if (runtime.provider === 'cpu' || runtime.journal?.deviceLost === true) {
    return open(build(cpuTarget), { ...runtime, provider: 'cpu' });
  }
  return DeviceSession.open(build, runtime, options, open);
}

/** A session on a device, and the ways out when the device cannot go on. */
class DeviceSession implements RuntimeSession {
  /** Undefined until something is open. */
  private current: RuntimeSession | undefined;
  private where: 'device' | 'device, in groups' | 'processor' = 'device';

  private constructor(
    private readonly build: GraphSource,
    private readonly runtime: RuntimeOptions,
    private readonly options: GraphOptions,
    private readonly openOne: OpenSession,
    /** Most tokens of one run; halved when memory runs out. */
    private mostTokens: number,
  ) {}

  static async open(
    build: GraphSource,
    runtime: RuntimeOptions,
    options: GraphOptions,
    open: OpenSession,
  ): Promise<RuntimeSession> {
    const { block, stream, manyRuns } = options;
    const plan = memoryPlan(block, runtime);
    const session = new DeviceSession(build, runtime, options, open, plan.mostTokens);
    try {
      if (plan.groupSize !== undefined) {
        await session.split(plan.groupSize);
      } else {
        session.current =
          stream === undefined
            ? await open(build(graphTarget(manyRuns === true ? runtime : { ...runtime, fusedExperts: false })), runtime)
            : await stream.open(build, open);
      }
    } catch (error) {
      await session.giveWay(error, 1, 1);
    }
    return session;
  }

  get inputs(): readonly string[] {
    return this.session.inputs;
  }

  get outputs(): readonly string[] {
    return this.session.outputs;
  }

  async run(feeds: Feeds, outputs?: readonly string[]): Promise<Results> {
    const { batched = [], summed = [] } = this.options;
    const rows = batched.length === 0 ? 1 : feeds[batched[0]!]!.shape[0]!;
    const tokensPerRow = batched.length === 0 ? 1 : tokensOf(feeds[batched[0]!]!.shape) / rows;
    const parts: Results[] = [];
    for (let start = 0; start < rows || parts.length === 0;) {
      const most = Math.max(1, Math.floor(this.mostTokens / tokensPerRow));
      const end = batched.length === 0 ? rows : Math.min(rows, start + most);
      try {
        const part = end - start === rows ? feeds : cutRows(feeds, batched, start, end);
        parts.push(await this.session.run(part, outputs));
        start = end;
      } catch (error) {
        await this.giveWay(error, end - start, tokensPerRow);
      }
    }
    return parts.length === 1 ? parts[0]! : joinRows(parts, summed);
  }

  async dispose(): Promise<void> {
    await this.current?.dispose();
  }

  private get session(): RuntimeSession {
    if (this.current === undefined) {
      throw new TunerError('internal', 'A session was used that is not open.');
    }
    return this.current;
  }

  /** Smaller runs, experts in groups, then the processor. Throws what none of them can help. */
  private async giveWay(error: unknown, rows: number, tokensPerRow: number): Promise<void> {
    const { journal, provider } = this.runtime;
    const short = TunerError.is(error, 'outOfMemory');
    if (this.where === 'processor' || journal === undefined || !(short || TunerError.is(error, 'deviceFailed'))) {
      throw error;
    }
    const experts = this.where === 'device' ? (this.options.block?.experts.length ?? 1) : 1;
    if (short && rows > 1 && (experts === 1 || rows * tokensPerRow > fewestTokens)) {
      this.mostTokens = Math.ceil(rows / 2) * tokensPerRow;
      journal.smallerSteps(`The memory of the device (${provider}) is short; steps are made smaller.`);
      return;
    }
    await this.closeDevice();
    let last: unknown = error;
    if (short && experts > 1) {
      try {
        await this.split(Math.ceil(experts / 2));
        return;
      } catch (failure) {
        last = failure;
      }
    }
    await this.toProcessor(last, journal);
  }

  private async split(groupSize: number): Promise<void> {
    const { build, runtime, openOne: open } = this;
    const target = graphTarget({ ...runtime, fusedExperts: false });
    this.where = 'device, in groups';
    this.current = await SplitExperts.open({ build, target, block: this.options.block!, runtime, open }, groupSize);
  }

  private async closeDevice(): Promise<void> {
    await this.current?.dispose();
    this.current = undefined;
    await this.options.stream?.closeSession();
  }

  /** The way out that is left. Throws errors that have nothing to do with the device. */
  private async toProcessor(error: unknown, journal: DeviceJournal): Promise<void> {
    if (TunerError.is(error, 'outOfMemory')) {
      const reason = `The memory of the device (${this.runtime.provider}) is too small for a step`;
      journal.toProcessor(`${reason}; it runs on the processor, which is slower.`, false);
    } else if (TunerError.is(error, 'deviceFailed')) {
      journal.toProcessor(`${error.message}; it runs on the processor, which is slower.`, true);
    } else {
      throw error;
    }
    this.where = 'processor';
    this.mostTokens = Infinity;
    this.current = await this.openOne(this.build(cpuTarget), { ...this.runtime, provider: 'cpu' });
  }
}

/** Rows of a tensor over all axes but the last. */
function tokensOf(shape: readonly number[]): number {
  return shape.slice(0, Math.max(1, shape.length - 1)).reduce((product, size) => product * size, 1);
}
