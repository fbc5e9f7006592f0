import os from 'node:os';
import path from 'node:path';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { ExpertPrecision } from '../graph/graphTarget';
import { TunerError } from '../protocol/errors';
import type { DeviceJournal } from './deviceJournal';
import { onnxruntime } from './onnxruntime';

/** What sessions run on; one value for a whole engine process. */
export interface RuntimeOptions {
  /** ONNX Runtime's own provider name, for example `cpu` or `cuda`. */
  readonly provider: string;
  /** Threads inside one operator; 0 takes one per core. */
  readonly threads: number;
  /** Precision of the experts on a GPU; float32 where it is left out, and always on the processor. */
  readonly precision?: ExpertPrecision | undefined;
  /** Whether the fused operator of experts was found to be right; else it is not used. */
  readonly fusedExperts?: boolean | undefined;
  /** Memory of the device that may be used; undefined: all of it. */
  readonly deviceMemoryBytes?: number | undefined;
  /** Opens sessions, {@link openSession} where it is left out; tests put failing devices here. */
  readonly open?: OpenSession | undefined;
  /** Where it is kept what the device could not do. */
  readonly journal?: DeviceJournal | undefined;
}

/** A tensor that crosses the boundary: float32 or int64 values and a shape. */
export type HostTensor =
  | { readonly type: 'float32'; readonly data: Float32Array; readonly shape: readonly number[] }
  | { readonly type: 'int64'; readonly data: BigInt64Array; readonly shape: readonly number[] };

/** A weight that is fed with a run: the bits of float16, of bfloat16 (as integers) or of bytes. */
export interface WeightTensor {
  readonly type: 'uint8' | 'uint16' | 'float16';
  readonly data: Uint8Array | Uint16Array;
  readonly shape: readonly number[];
}

export type Feeds = Readonly<Record<string, HostTensor | WeightTensor>>;
export type Results = Readonly<Record<string, HostTensor>>;

/** How a graph becomes a session. */
export type OpenSession = (model: Uint8Array, options: RuntimeOptions) => Promise<RuntimeSession>;

/** One loaded graph. Dispose it: sessions hold native memory and threads. */
export interface RuntimeSession {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Runs the graph and returns only the outputs asked for. Blocks the thread until it is done. */
  run(feeds: Feeds, outputs?: readonly string[]): Promise<Results>;
  dispose(): Promise<void>;
}

/**
 * Loads a graph whose weights are byte ranges of files below the root of the file system. Prepacking and constant
 * folding are off, so weights stay memory-mapped and are converted only while the operator that needs them runs.
 * @throws TunerError `runtimeFailed`, `outOfMemory`, `providerUnavailable`
 */
export async function openSession(model: Uint8Array, options: RuntimeOptions): Promise<RuntimeSession> {
  let session: InferenceSession;
  try {
    session = await onnxruntime().InferenceSession.create(model, mappedOptions(options));
  } catch (error) {
    throw runtimeError(error, 'The graph could not be loaded.');
  }
  return {
    inputs: session.inputNames,
    outputs: session.outputNames,
    async run(feeds, outputs) {
      const { Tensor } = onnxruntime();
      const tensors = Object.fromEntries(
        Object.entries(feeds).map(([name, { type, data, shape }]) => [
          name,
          new Tensor(type as 'float32', data as never, shape),
        ]),
      );
      try {
        const results = await session.run(tensors, outputs ?? session.outputNames);
        return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, toHost(name, value)]));
      } catch (error) {
        throw runtimeError(error, 'A graph failed while it ran.');
      }
    },
    dispose: () => session.release(),
  };
}

/** Options of every session: where it runs, and one operator after the other. Constants are folded and weights prepared for speed. */
export function preparedOptions(options: RuntimeOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: options.provider === 'cpu' ? ['cpu'] : [options.provider, 'cpu'],
    intraOpNumThreads: options.threads === 0 ? os.availableParallelism() : options.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  };
}

/**
 * Options of sessions whose weights stay in their files. On processors without memory patterns: with them the runtime asks for
 * memory of the size of all weights at once and never writes to it, which fails where they are larger than the machine's memory.
 */
export function mappedOptions(options: RuntimeOptions): InferenceSession.SessionOptions {
  return {
    ...preparedOptions(options),
    enableMemPattern: options.provider !== 'cpu',
    extra: {
      session: {
        model_external_initializers_file_folder_path: path.parse(process.cwd()).root,
        disable_prepacking: '1',
        intra_op: { allow_spinning: '0' },
      },
      optimization: { disable_specified_optimizers: 'ConstantFolding' },
    },
  };
}

/** A result of the runtime as a tensor of this program. @throws TunerError `runtimeFailed` for other types */
export function toHost(name: string, value: Tensor): HostTensor {
  if (value.type === 'float32') {
    return { type: 'float32', data: value.data as Float32Array, shape: value.dims };
  }
  if (value.type === 'int64') {
    return { type: 'int64', data: value.data as BigInt64Array, shape: value.dims };
  }
  throw new TunerError('runtimeFailed', `The graph output ${name} has the unexpected type ${value.type}.`);
}

/** The float32 values of an output. */
export function floats(results: Results, name: string): Float32Array {
  const value = results[name];
  if (value?.type !== 'float32') {
    throw new TunerError('runtimeFailed', `The graph gave no float output ${name}.`);
  }
  return value.data;
}

/** The int64 values of an output. */
export function integers(results: Results, name: string): BigInt64Array {
  const value = results[name];
  if (value?.type !== 'int64') {
    throw new TunerError('runtimeFailed', `The graph gave no integer output ${name}.`);
  }
  return value.data;
}

/** CUBLAS failure 3 is CUBLAS_STATUS_ALLOC_FAILED: a session that finds no memory for the library's own handle says it so. */
const outOfMemoryPattern =
  /out of (device |host )?memory|failed to allocate|bad_alloc|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED|CUBLAS failure 3\b|E_OUTOFMEMORY|OUT_OF_(DEVICE|HOST)_MEMORY/i;

/** What drivers say when a device does not answer any more; the process cannot use it again. */
const deviceFailedPattern =
  /CUDA (failure|error)|CUDNN failure|CUBLAS failure|device (was |is )?(lost|removed|hung)|DEVICE_(LOST|REMOVED|HUNG)/i;

/** A failure of the native runtime as an error for a person. */
export function runtimeError(error: unknown, what: string): TunerError {
  const reason = error instanceof Error ? error.message : String(error);
  if (outOfMemoryPattern.test(reason)) {
    return new TunerError(
      'outOfMemory',
      `There is not enough memory for this step. ${reason}`,
      { wayOut: 'Close other programs, or use fewer samples or a smaller --length.' },
      { cause: error },
    );
  }
  if (deviceFailedPattern.test(reason)) {
    return new TunerError(
      'deviceFailed',
      `The GPU or its driver failed. ${reason}`,
      { wayOut: 'Run the command again: what was measured is kept. If it fails again, use --provider cpu.' },
      { cause: error },
    );
  }
  return new TunerError('runtimeFailed', `${what} ${reason}`, {}, { cause: error });
}
