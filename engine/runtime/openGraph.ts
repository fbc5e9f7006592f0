import { cpuTarget, type GraphTarget } from '../graph/graphTarget';
import { TunerError } from '../protocol/errors';
import { graphTarget } from './graphTargets';
import {
  openSession,
  type Feeds,
  type HostTensor,
  type Results,
  type RuntimeOptions,
  type RuntimeSession,
} from './session';

/** Builds a graph for one target; called again where the work moves to the processor. */
export type GraphSource = (target: GraphTarget) => Uint8Array;

export interface GraphOptions {
  /**
   * Inputs whose first axis counts independent rows, as that of every output does: a run that does not fit into the
   * memory of the device is cut along it. Without any, it moves to the processor at once.
   */
  readonly batched?: readonly string[];
  /**
   * Whether the session will run so often that its first run may take a second: only then is the fused operator of
   * experts worth its set-up.
   */
  readonly manyRuns?: boolean;
  /** Opens the sessions; tests put failing devices here. */
  readonly open?: typeof openSession;
}

/**
 * Loads a graph in the form that suits the provider. Where the device runs out of memory, runs get smaller and then move
 * to the processor; where it fails for good, the rest of the job runs on the processor. The journal of `runtime` tells it.
 * @throws TunerError `runtimeFailed`, `outOfMemory`
 */
export async function openGraph(
  build: GraphSource,
  runtime: RuntimeOptions,
  { batched = [], manyRuns = false, open = openSession }: GraphOptions = {},
): Promise<RuntimeSession> {
  const processor = () => open(build(cpuTarget), { ...runtime, provider: 'cpu' });
  if (runtime.provider === 'cpu' || runtime.journal?.deviceLost === true) {
    return processor();
  }
  try {
    const session = await open(build(graphTarget(manyRuns ? runtime : { ...runtime, fusedExperts: false })), runtime);
    return new DeviceSession(session, processor, runtime, batched);
  } catch (error) {
    toProcessor(runtime, error);
    return processor();
  }
}

/** Notes that work leaves the device. Throws errors that have nothing to do with it. */
function toProcessor(runtime: RuntimeOptions, error: unknown): void {
  const memory = TunerError.is(error, 'outOfMemory');
  if (runtime.journal === undefined || (!memory && !TunerError.is(error, 'deviceFailed'))) {
    throw error;
  }
  const reason = memory
    ? `The memory of the device (${runtime.provider}) is too small for a step`
    : (error as TunerError).message;
  runtime.journal.toProcessor(`${reason}; it runs on the processor, which is slower.`, !memory);
}

/** A session on a device, and the way out when the device cannot go on. */
class DeviceSession implements RuntimeSession {
  private onDevice = true;
  /** Most rows of one run; halved when memory runs out. */
  private mostRows = Infinity;

  constructor(
    private session: RuntimeSession,
    private readonly processor: () => Promise<RuntimeSession>,
    private readonly runtime: RuntimeOptions,
    private readonly batched: readonly string[],
  ) {}

  get inputs(): readonly string[] {
    return this.session.inputs;
  }

  get outputs(): readonly string[] {
    return this.session.outputs;
  }

  async run(feeds: Feeds, outputs?: readonly string[]): Promise<Results> {
    const rows = this.batched.length === 0 ? 1 : feeds[this.batched[0]!]!.shape[0]!;
    const parts: Results[] = [];
    for (let start = 0; start < rows || parts.length === 0;) {
      const end = Math.min(rows, start + this.mostRows);
      try {
        const part = end - start === rows ? feeds : cut(feeds, this.batched, start, end);
        parts.push(await this.session.run(part, outputs));
        start = end;
      } catch (error) {
        await this.giveWay(error, end - start);
      }
    }
    return parts.length === 1 ? parts[0]! : join(parts);
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }

  /** Smaller runs first, then the processor. Throws what neither can help. */
  private async giveWay(error: unknown, rows: number): Promise<void> {
    if (!this.onDevice) {
      throw error;
    }
    if (TunerError.is(error, 'outOfMemory') && rows > 1) {
      this.mostRows = Math.ceil(rows / 2);
      this.runtime.journal?.smallerSteps(
        `The memory of the device (${this.runtime.provider}) is short; steps are made smaller.`,
      );
      return;
    }
    toProcessor(this.runtime, error);
    await this.session.dispose();
    this.session = await this.processor();
    this.onDevice = false;
    this.mostRows = Infinity;
  }
}

function cut(feeds: Feeds, batched: readonly string[], start: number, end: number): Feeds {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, value]): [string, HostTensor] => {
      if (!batched.includes(name)) {
        return [name, value];
      }
      const size = value.data.length / value.shape[0]!;
      const shape = [end - start, ...value.shape.slice(1)];
      return [name, { ...value, data: value.data.subarray(start * size, end * size), shape } as HostTensor];
    }),
  );
}

/** Results of consecutive rows as one. */
function join(parts: readonly Results[]): Results {
  return Object.fromEntries(
    Object.keys(parts[0]!).map((name): [string, HostTensor] => {
      const pieces = parts.map((part) => part[name]!);
      const rows = pieces.reduce((sum, { shape }) => sum + shape[0]!, 0);
      const shape = [rows, ...pieces[0]!.shape.slice(1)];
      const length = pieces.reduce((sum, { data }) => sum + data.length, 0);
      if (pieces[0]!.type === 'float32') {
        const data = new Float32Array(length);
        fill(pieces, (piece, at) => data.set(piece.data as Float32Array, at));
        return [name, { type: 'float32', data, shape }];
      }
      const data = new BigInt64Array(length);
      fill(pieces, (piece, at) => data.set(piece.data as BigInt64Array, at));
      return [name, { type: 'int64', data, shape }];
    }),
  );
}

function fill(pieces: readonly HostTensor[], set: (piece: HostTensor, at: number) => void): void {
  let at = 0;
  for (const piece of pieces) {
    set(piece, at);
    at += piece.data.length;
  }
}
