import { TensorProto_DataType as DataType } from 'onnx-buf';
import { expect, test } from 'vitest';
import { GraphBuilder } from '../../engine/graph/graphBuilder';
import type { GraphTarget } from '../../engine/graph/graphTarget';
import { TunerError } from '../../engine/protocol/errors';
import { DeviceJournal } from '../../engine/runtime/deviceJournal';
import { ranOn } from '../../engine/runtime/graphTargets';
import { openGraph } from '../../engine/runtime/openGraph';
import { openSession, runtimeError, type RuntimeOptions, type RuntimeSession } from '../../engine/runtime/session';

/** Every row twice, plus a row number that tells whether rows stayed in order. */
function doubling(target: GraphTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const x = graph.input('x', DataType.FLOAT, [null, 2]);
  const factor = graph.input('factor', DataType.FLOAT, [1]);
  graph.output('y', graph.node('Mul', [x, factor]), DataType.FLOAT, [null, 2]);
  const sums = graph.node('ReduceSum', [x, graph.integers([1])], { keepdims: 0 });
  graph.output('n', graph.node('Cast', [sums], { to: DataType.INT64 }), DataType.INT64, [null]);
  return graph.build('doubling');
}

/** What a simulated device does: the largest run that fits, and what happens when it is loaded. */
interface Device {
  readonly mostRows?: number;
  readonly failure?: string;
  readonly failsToLoad?: boolean;
}

/** A device: the processor behind a driver that fails as the real ones do. */
function device({ mostRows = Infinity, failure = 'CUDA failure 2: out of memory', failsToLoad = false }: Device) {
  const runs: number[] = [];
  const providers: string[] = [];
  const open = async (model: Uint8Array, options: RuntimeOptions): Promise<RuntimeSession> => {
    providers.push(options.provider);
    const session = await openSession(model, { ...options, provider: 'cpu' });
    if (options.provider === 'cpu') {
      return session;
    }
    if (failsToLoad) {
      await session.dispose();
      throw runtimeError(new Error(failure), 'The graph could not be loaded.');
    }
    return {
      inputs: session.inputs,
      outputs: session.outputs,
      run: (feeds, outputs) => {
        const rows = feeds['x']!.shape[0]!;
        runs.push(rows);
        return rows > mostRows
          ? Promise.reject(runtimeError(new Error(failure), 'A graph failed while it ran.'))
          : session.run(feeds, outputs);
      },
      dispose: () => session.dispose(),
    };
  };
  return { open, runs, providers };
}

const rows = 10;
const feeds = {
  x: { type: 'float32', data: Float32Array.from({ length: 2 * rows }, (_, at) => at), shape: [rows, 2] },
  factor: { type: 'float32', data: Float32Array.of(2), shape: [1] },
} as const;
const doubled = Float32Array.from({ length: 2 * rows }, (_, at) => 2 * at);
const rowSums = BigInt64Array.from({ length: rows }, (_, at) => BigInt(4 * at + 1));

function journal() {
  const told: string[] = [];
  return { told, journal: new DeviceJournal((message) => told.push(message)) };
}

async function runOn(simulated: Device, batched: readonly string[] = ['x']) {
  const { told, journal: kept } = journal();
  const { open, runs, providers } = device(simulated);
  const runtime: RuntimeOptions = { provider: 'cuda', threads: 1, journal: kept, open };
  const session = await openGraph(doubling, runtime, { batched });
  const results = await session.run(feeds);
  const again = await session.run(feeds);
  await session.dispose();
  expect(results['y']!.data).toEqual(doubled);
  expect(results['n']!.data).toEqual(rowSums);
  expect(results['y']!.shape).toEqual([rows, 2]);
  expect(again['y']!.data).toEqual(doubled);
  return { told, runs, providers, where: ranOn(runtime) };
}

test('a run that does not fit is cut until it does, once told, and the next run knows', async () => {
  const { told, runs, where } = await runOn({ mostRows: 3 });
  expect(told).toEqual([expect.stringContaining('steps are made smaller')]);
  // 10 and 5 fail, 3 rows fit; the second run starts with 3.
  expect(runs).toEqual([10, 5, 3, 3, 3, 1, 3, 3, 3, 1]);
  expect(where).toBe('cuda');
});

test('a step that cannot be made smaller moves to the processor, and the result says so', async () => {
  const { told, providers, where } = await runOn({ mostRows: 0 });
  expect(told.at(-1)).toContain('runs on the processor');
  expect(providers).toEqual(['cuda', 'cpu']);
  expect(where).toBe('cuda, in part cpu');
});

test('without independent rows memory trouble moves to the processor at once', async () => {
  const { told, runs } = await runOn({ mostRows: 9 }, []);
  expect(runs).toEqual([10]);
  expect(told).toHaveLength(1);
});

test('weights that do not fit run on the processor', async () => {
  const { told, where } = await runOn({ failsToLoad: true });
  expect(told).toEqual([expect.stringContaining('too small')]);
  expect(where).toBe('cuda, in part cpu');
});

test.each(['CUDA failure 700: an illegal memory access was encountered', 'Device is lost: VK_ERROR_DEVICE_LOST'])(
  'after a driver error (%s) the rest of the job leaves the device',
  async (failure) => {
    const { told, journal: kept } = journal();
    const { open, providers } = device({ mostRows: 0, failure });
    const runtime: RuntimeOptions = { provider: 'cuda', threads: 1, journal: kept, open };
    const session = await openGraph(doubling, runtime, { batched: ['x'] });
    expect((await session.run(feeds))['y']!.data).toEqual(doubled);
    const next = await openGraph(doubling, runtime, { batched: ['x'] });
    expect((await next.run(feeds))['y']!.data).toEqual(doubled);
    await session.dispose();
    await next.dispose();
    expect(providers).toEqual(['cuda', 'cpu', 'cpu']);
    expect(told[0]).toContain('The GPU or its driver failed');
  },
);

test('errors that are not the device’s stay errors', async () => {
  const { journal: kept } = journal();
  const { open } = device({ mostRows: 0, failure: 'Invalid argument: shape mismatch' });
  const session = await openGraph(doubling, { provider: 'cuda', threads: 1, journal: kept, open }, { batched: ['x'] });
  const failure = await session.run(feeds).catch((error: unknown) => error);
  expect(TunerError.is(failure, 'runtimeFailed')).toBe(true);
  await session.dispose();
});

test('nothing moves to the processor unless somebody is told', async () => {
  const { open } = device({ failsToLoad: true });
  const failure = await openGraph(doubling, { provider: 'cuda', threads: 1, open }).catch((error: unknown) => error);
  expect(TunerError.is(failure, 'outOfMemory')).toBe(true);
});
