import type { InferenceSession } from 'onnxruntime-node';
import * as z from 'zod';
import { expertPrecisions } from '../protocol/providerNames';
import { onnxruntime } from './onnxruntime';
import { probeExperts } from './probeExperts';
import { probeGraph } from './probeGraph';

/** What the probe process prints as its last line of standard output. */
export const probeOutcomeSchema = z.object({
  ok: z.boolean(),
  reason: z.string(),
  gflops: z.number().nullable(),
  precisions: z.array(z.enum(expertPrecisions)).optional(),
  fusedExperts: z.boolean().optional(),
});
export type ProbeOutcome = z.infer<typeof probeOutcomeSchema>;

/**
 * Steps of the micro-benchmark: side of the square matrices, how many products one run makes, and the speed in GFLOP/s
 * below which the next step is not worth its time.
 */
const steps = [
  { side: 256, products: 2, enough: 5 },
  { side: 1024, products: 4, enough: 150 },
  { side: 2048, products: 16, enough: Infinity },
];

/** Timed runs after one warm-up; the fastest counts. */
const timedRuns = 3;

/** Sampled entries of the product that are checked against plain arithmetic, and the tolerated relative error. */
const checkedEntries = 16;
const tolerance = 1e-3;

/** Loads a provider, multiplies two matrices, checks the numbers and times it. Runs in a process of its own. */
export async function probeProvider(runtimeName: string, threads: number): Promise<ProbeOutcome> {
  let gflops = 0;
  for (const { side, products, enough } of steps) {
    let session: InferenceSession;
    try {
      session = await openProbe(runtimeName, threads, products);
    } catch (error) {
      return { ok: false, reason: error instanceof Error ? error.message : String(error), gflops: null };
    }
    const { speed, wrong } = await multiply(session, side, products);
    await session.release();
    if (wrong !== undefined) {
      return { ok: false, reason: `It computes wrong numbers: ${wrong}.`, gflops: null };
    }
    gflops = speed;
    if (speed < enough) {
      break;
    }
  }
  if (runtimeName === 'cpu') {
    return { ok: true, reason: 'It works.', gflops };
  }
  const abilities = await probeExperts(runtimeName, threads);
  return abilities.precisions.includes('float32')
    ? { ok: true, reason: 'It works.', gflops, ...abilities }
    : { ok: false, reason: 'It computes the experts of a small block wrong, or not at all.', gflops: null };
}

/** Everything on the provider: nothing may fall back to the processor. */
function openProbe(runtimeName: string, threads: number, products: number): Promise<InferenceSession> {
  return onnxruntime().InferenceSession.create(probeGraph(products), {
    executionProviders: [runtimeName],
    ...(threads === 0 ? {} : { intraOpNumThreads: threads }),
    logSeverityLevel: 2,
    extra: runtimeName === 'cpu' ? {} : { session: { disable_cpu_ep_fallback: '1' } },
  });
}

/** Speed of square products in GFLOP/s, and what is wrong with the first. */
async function multiply(
  session: InferenceSession,
  side: number,
  products: number,
): Promise<{ readonly speed: number; readonly wrong: string | undefined }> {
  const { Tensor } = onnxruntime();
  const a = Float32Array.from({ length: side ** 2 }, (_, at) => ((at * 7919) % 1013) / 1013 - 0.5);
  const b = Float32Array.from({ length: side ** 2 }, (_, at) => ((at * 104729) % 2017) / 2017 - 0.5);
  // The entries of b have a standard deviation of 1/√12.
  const scale = new Tensor('float32', Float32Array.of(Math.sqrt(12 / side)), []);
  const feeds = { a: new Tensor('float32', a, [side, side]), b: new Tensor('float32', b, [side, side]), scale };
  const first = (await session.run(feeds))['c']!.data as Float32Array;
  const wrong = wrongEntry(a, b, first, side);
  let fastest = Infinity;
  for (let run = 0; run < timedRuns; run += 1) {
    const start = performance.now();
    await session.run(feeds, ['last']);
    fastest = Math.min(fastest, performance.now() - start);
  }
  return { speed: (2 * products * side ** 3) / fastest / 1e6, wrong };
}

function wrongEntry(a: Float32Array, b: Float32Array, c: Float32Array, side: number): string | undefined {
  for (let check = 0; check < checkedEntries; check += 1) {
    const [row, column] = [(check * 397) % side, (check * 631) % side];
    let expected = 0;
    let magnitude = 0;
    for (let at = 0; at < side; at += 1) {
      const term = a[row * side + at]! * b[at * side + column]!;
      expected += term;
      magnitude += Math.abs(term);
    }
    const actual = c[row * side + column]!;
    if (!(Math.abs(actual - expected) <= tolerance * magnitude)) {
      return `${actual} instead of ${expected}`;
    }
  }
  return undefined;
}
