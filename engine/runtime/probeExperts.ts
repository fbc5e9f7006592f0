import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { MoeBlockSpec } from '../families/specification';
import { blockGraph, blockNames } from '../graph/blockGraph';
import { cpuTarget, type ExpertPrecision, type GraphTarget } from '../graph/graphTarget';
import { SeededRandom } from '../numeric/seededRandom';
import { fillStandardNormal } from '../numeric/standardNormal';
import { graphTarget } from './graphTargets';
import { floats, openSession, type RuntimeOptions } from './session';

/** A block with sums so long that half-precision accumulators would show. */
const shape = { hidden: 1024, width: 64, experts: 6, active: 2 };

/** One token, which leaves most experts without rows, and a batch. */
const tokenCounts = [1, 128];

/**
 * Largest relative error of block outputs against the processor. Rounding to float16 costs about 5e-4 and to bfloat16 4e-3;
 * sums that are kept in float16 as well cost more than the limit.
 */
const tolerances: Readonly<Record<ExpertPrecision, number>> = { float32: 1e-4, float16: 2.5e-3, bfloat16: 2e-2 };

/** What a provider computes right. */
export interface ExpertAbilities {
  readonly precisions: ExpertPrecision[];
  /** Whether the fused operator of experts gives what it must. */
  readonly fusedExperts: boolean;
}

/** Runs a small MoE block in every precision on a provider and compares it with the processor. */
export async function probeExperts(provider: string, threads: number): Promise<ExpertAbilities> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'moe-tuner-probe-'));
  try {
    const block = writeBlock(path.join(folder, 'block.bin'));
    const inputs = tokenCounts.map(randomInput);
    const runtime = (precision: ExpertPrecision): RuntimeOptions => ({ provider, threads, precision });
    const expected: Float32Array[] = [];
    for (const x of inputs) {
      expected.push(await run(block, x, cpuTarget, { provider: 'cpu', threads }));
    }
    const right = async (target: GraphTarget, precision: ExpertPrecision) => {
      try {
        for (const [at, x] of inputs.entries()) {
          const error = relativeError(await run(block, x, target, runtime(precision)), expected[at]!);
          if (!(error <= tolerances[precision])) {
            return false;
          }
        }
        return true;
      } catch {
        // An operator that a provider lacks in a precision makes the precision unavailable, nothing more.
        return false;
      }
    };
    const precisions: ExpertPrecision[] = [];
    for (const precision of Object.keys(tolerances) as ExpertPrecision[]) {
      if (await right({ ...graphTarget(runtime(precision)), experts: 'sorted' }, precision)) {
        precisions.push(precision);
      }
    }
    const fused = { ...graphTarget(runtime('float16')), experts: 'fused' } as const;
    const fusedExperts = provider === 'cuda' && precisions.includes('float16') && (await right(fused, 'float16'));
    return { precisions, fusedExperts };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(
  block: MoeBlockSpec,
  x: Float32Array,
  target: GraphTarget,
  runtime: RuntimeOptions,
): Promise<Float32Array> {
  const session = await openSession(blockGraph(block, target), runtime);
  try {
    const feeds = {
      [blockNames.x]: { type: 'float32', data: x, shape: [x.length / shape.hidden, shape.hidden] },
      [blockNames.activeExperts]: { type: 'int64', data: BigInt64Array.of(BigInt(shape.active)), shape: [1] },
    } as const;
    return floats(await session.run(feeds), blockNames.y);
  } finally {
    await session.dispose();
  }
}

/** A file of random bfloat16 weights and the block they are. */
function writeBlock(file: string): MoeBlockSpec {
  const { hidden, width, experts, active } = shape;
  let values = 0;
  const matrix = (rows: number, columns: number) => {
    const entry = {
      name: `probe.${values}`,
      dtype: 'BF16',
      shape: [rows, columns],
      file,
      byteOffset: 2 * values,
      byteLength: 2 * rows * columns,
    } as const;
    values += rows * columns;
    return { storage: 'plain', entry } as const;
  };
  const linear = (inputSize: number, outputSize: number) =>
    ({ weight: matrix(outputSize, inputSize), orientation: 'output-major', inputSize, outputSize }) as const;
  const block: MoeBlockSpec = {
    layer: 0,
    hiddenSize: hidden,
    intermediateSize: width,
    experts: Array.from({ length: experts }, () => ({
      layout: 'gated',
      gate: linear(hidden, width),
      up: linear(hidden, width),
      down: linear(width, hidden),
    })),
    activeExperts: active,
    router: {
      weight: matrix(experts, hidden),
      score: 'softmax',
      gates: { kind: 'sum', epsilon: 0 },
      scale: 1,
      apply: 'output',
    },
    activation: { kind: 'silu-gated' },
  };
  const random = new Float32Array(values);
  fillStandardNormal(random, new SeededRandom(1));
  const bits = new Uint32Array(random.map((value) => value / Math.sqrt(hidden)).buffer);
  writeFileSync(
    file,
    Uint16Array.from(bits, (value) => value >>> 16),
  );
  return block;
}

function randomInput(tokens: number): Float32Array {
  const x = new Float32Array(tokens * shape.hidden);
  fillStandardNormal(x, new SeededRandom(tokens));
  return x;
}

function relativeError(actual: Float32Array, expected: Float32Array): number {
  let [error, norm] = [0, 0];
  for (let at = 0; at < expected.length; at += 1) {
    error += (actual[at]! - expected[at]!) ** 2;
    norm += expected[at]! ** 2;
  }
  return Math.sqrt(error / norm);
}
