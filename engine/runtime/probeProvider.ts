import type { InferenceSession } from 'onnxruntime-node';
import { z } from 'zod';
import { expertPrecisions } from '../protocol/doctor';
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

/** Sides of the square matrices of the micro-benchmark; a device that is slow with the first is not asked for the second. */
const sides = [256, 1024];
const slowGflops = 5;

/** Timed runs after one warm-up; the fastest counts. */
const timedRuns = 5;

/** Sampled entries of the product that are checked against plain arithmetic, and the tolerated relative error. */
const checkedEntries = 16;
const tolerance = 1e-3;

/** Loads a provider, multiplies two matrices, checks the numbers and times it. Runs in a process of its own. */
export async function probeProvider(runtimeName: string, threads: number): Promise<ProbeOutcome> {
  const { InferenceSession } = onnxruntime();
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(probeGraph(), {
      executionProviders: [runtimeName],
      ...(threads === 0 ? {} : { intraOpNumThreads: threads }),
      logSeverityLevel: 2,
      extra: runtimeName === 'cpu' ? {} : { session: { disable_cpu_ep_fallback: '1' } },
    });
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error), gflops: null };
  }
  let gflops = 0;
  for (const side of sides) {
    const { speed, wrong } = await multiply(session, side);
    if (wrong !== undefined) {
      return { ok: false, reason: `It computes wrong numbers: ${wrong}.`, gflops: null };
    }
    gflops = speed;
    if (speed < slowGflops) {
      break;
    }
  }
  await session.release();
  if (runtimeName === 'cpu') {
    return { ok: true, reason: 'It works.', gflops };
  }
  const abilities = await probeExperts(runtimeName, threads);
  return abilities.precisions.includes('float32')
    ? { ok: true, reason: 'It works.', gflops, ...abilities }
    : { ok: false, reason: 'It computes the experts of a small block wrong, or not at all.', gflops: null };
}

/** Speed of a square product in GFLOP/s, and what is wrong with it. */
async function multiply(
  session: InferenceSession,
  side: number,
): Promise<{ readonly speed: number; readonly wrong: string | undefined }> {
  const { Tensor } = onnxruntime();
  const a = Float32Array.from({ length: side ** 2 }, (_, at) => ((at * 7919) % 1013) / 1013 - 0.5);
  const b = Float32Array.from({ length: side ** 2 }, (_, at) => ((at * 104729) % 2017) / 2017 - 0.5);
  const feeds = { a: new Tensor('float32', a, [side, side]), b: new Tensor('float32', b, [side, side]) };
  const first = (await session.run(feeds))['c']!.data as Float32Array;
  const wrong = wrongEntry(a, b, first, side);
  let fastest = Infinity;
  for (let run = 0; run < timedRuns; run += 1) {
    const start = performance.now();
    await session.run(feeds);
    fastest = Math.min(fastest, performance.now() - start);
  }
  return { speed: (2 * side ** 3) / fastest / 1e6, wrong };
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
