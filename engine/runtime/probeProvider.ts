import { InferenceSession, Tensor } from 'onnxruntime-node';
import { z } from 'zod';
import { probeGraph, probeSize } from './probeGraph';

/** What the probe process prints as its last line of standard output. */
export const probeOutcomeSchema = z.object({ ok: z.boolean(), reason: z.string(), gflops: z.number().nullable() });
export type ProbeOutcome = z.infer<typeof probeOutcomeSchema>;

/** Timed runs after one warm-up; the fastest counts. */
const timedRuns = 5;

/** Sampled entries of the product that are checked against plain arithmetic, and the tolerated relative error. */
const checkedEntries = 16;
const tolerance = 1e-3;

/** Loads a provider, multiplies two matrices, checks the numbers and times it. Runs in a process of its own. */
export async function probeProvider(runtimeName: string, threads: number): Promise<ProbeOutcome> {
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
  const a = Float32Array.from({ length: probeSize ** 2 }, (_, at) => ((at * 7919) % 1013) / 1013 - 0.5);
  const b = Float32Array.from({ length: probeSize ** 2 }, (_, at) => ((at * 104729) % 2017) / 2017 - 0.5);
  const shape = [probeSize, probeSize];
  const feeds = { a: new Tensor('float32', a, shape), b: new Tensor('float32', b, shape) };
  const first = (await session.run(feeds))['c']!.data as Float32Array;
  const wrong = wrongEntry(a, b, first);
  if (wrong !== undefined) {
    return { ok: false, reason: `It computes wrong numbers: ${wrong}.`, gflops: null };
  }
  let fastest = Infinity;
  for (let run = 0; run < timedRuns; run += 1) {
    const start = performance.now();
    await session.run(feeds);
    fastest = Math.min(fastest, performance.now() - start);
  }
  await session.release();
  return { ok: true, reason: 'It works.', gflops: (2 * probeSize ** 3) / fastest / 1e6 };
}

function wrongEntry(a: Float32Array, b: Float32Array, c: Float32Array): string | undefined {
  for (let check = 0; check < checkedEntries; check += 1) {
    const [row, column] = [(check * 397) % probeSize, (check * 631) % probeSize];
    let expected = 0;
    let magnitude = 0;
    for (let at = 0; at < probeSize; at += 1) {
      const term = a[row * probeSize + at]! * b[at * probeSize + column]!;
      expected += term;
      magnitude += Math.abs(term);
    }
    const actual = c[row * probeSize + column]!;
    if (!(Math.abs(actual - expected) <= tolerance * magnitude)) {
      return `${actual} instead of ${expected}`;
    }
  }
  return undefined;
}
