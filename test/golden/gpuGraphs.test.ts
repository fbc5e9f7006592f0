import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { blockGraph, blockNames } from '../../engine/graph/blockGraph';
import { cpuTarget, type GraphTarget } from '../../engine/graph/graphTarget';
import { sensitivityGraph, sensitivityNames } from '../../engine/graph/sensitivityGraph';
import { floats, openSession } from '../../engine/runtime/session';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { blockCheckpoints } from '../support/blockCheckpoints/blockCheckpoints';
import { openResolved, testRuntime } from '../support/engineRun';
import { gaussianSource } from '../support/tinyCheckpoints/randomTensors';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/** A form of a block for GPUs, run on the processor: what differs between providers is tested on them. */
interface Form {
  readonly name: string;
  readonly target: GraphTarget;
  readonly tolerance: number;
  /** One token leaves most experts without rows; more of them give some experts several. */
  readonly tokens: number;
}

const forms: readonly Form[] = [
  { name: 'sorted', target: { ...cpuTarget, experts: 'sorted' }, tolerance: 1e-5, tokens: 1 },
  {
    name: 'sorted in slices',
    target: { ...cpuTarget, experts: 'sorted', splitOutputs: 2 },
    tolerance: 1e-5,
    tokens: 40,
  },
  // Squared norms with two roundings to 16 bits left out.
  {
    name: 'sorted, split products',
    target: { ...cpuTarget, experts: 'sorted', products: 'split' },
    tolerance: 5e-5,
    tokens: 40,
  },
  { name: 'fused', target: { ...cpuTarget, experts: 'fused', gramSquares: true }, tolerance: 1e-5, tokens: 40 },
  {
    name: 'sorted in half precision',
    target: { ...cpuTarget, experts: 'sorted', precision: 'float16', gramSquares: true },
    tolerance: 1e-2,
    tokens: 40,
  },
];

const scratch = mkdtempSync(path.join(tmpdir(), 'gpu-graphs-'));

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

async function runBlockAs(block: MoeBlockSpec, x: Float32Array, k: number, target: GraphTarget): Promise<Float32Array> {
  const session = await openSession(blockGraph(block, target), testRuntime);
  try {
    const feeds = {
      [blockNames.x]: { type: 'float32', data: x, shape: [x.length / block.hiddenSize, block.hiddenSize] },
      [blockNames.activeExperts]: { type: 'int64', data: BigInt64Array.of(BigInt(k)), shape: [1] },
    } as const;
    return floats(await session.run(feeds), blockNames.y);
  } finally {
    await session.dispose();
  }
}

async function sensitivityAs(block: MoeBlockSpec, x: Float32Array, target: GraphTarget): Promise<Float32Array[]> {
  const session = await openSession(sensitivityGraph(block, target), testRuntime);
  try {
    const shape = [x.length / block.hiddenSize, block.hiddenSize];
    const result = await session.run({ [sensitivityNames.x]: { type: 'float32', data: x, shape } });
    return session.outputs.map((name) => floats(result, name));
  } finally {
    await session.dispose();
  }
}

test(
  'every form gives the same block and the same sensitivity, for every distinct block of all families',
  { timeout: 600_000 },
  async () => {
    const seen = new Set<string>();
    for (const checkpoint of [...tinyCheckpoints, ...blockCheckpoints]) {
      const name = checkpoint.name;
      const folder = writeTinyCheckpoint(checkpoint, path.join(scratch, name.replaceAll(/\W+/g, '-')));
      const block = (await openResolved(folder)).blocks.at(-1)!;
      // Many variants of a family differ in attention alone.
      const structure = structureOf(block);
      if (!seen.has(structure)) {
        seen.add(structure);
        await compareForms(name, block);
      }
      rmSync(folder, { recursive: true });
    }
    expect(seen.size).toBeGreaterThan(40);
  },
);

async function compareForms(name: string, block: MoeBlockSpec): Promise<void> {
  const k = block.activeExperts;
  const references = new Map<number, { x: Float32Array; output: Float32Array; sensitivity: Float32Array[] }>();
  for (const { name: form, target, tolerance, tokens } of forms) {
    let reference = references.get(tokens);
    if (reference === undefined) {
      const x = Float32Array.from({ length: tokens * block.hiddenSize }, gaussianSource(`inputs of ${name}`, tokens));
      const output = await runBlockAs(block, x, k, cpuTarget);
      reference = { x, output, sensitivity: await sensitivityAs(block, x, cpuTarget) };
      references.set(tokens, reference);
    }
    const { x, output, sensitivity } = reference;
    expect(relativeError(await runBlockAs(block, x, k, target), output), `${name}, ${form}`).toBeLessThan(tolerance);
    const values = await sensitivityAs(block, x, target);
    for (const [at, expected] of sensitivity.entries()) {
      expect(relativeError(values[at]!, expected), `${name}, ${form}, sensitivity`).toBeLessThan(tolerance);
    }
  }
}

/** Everything a block is but the place and the number of its layer. */
function structureOf(block: MoeBlockSpec): string {
  const places = new Set(['file', 'name', 'byteOffset', 'layer']);
  return JSON.stringify(block, (key, value: unknown) => (places.has(key) ? undefined : value));
}

function relativeError(actual: Float32Array, expected: Float32Array): number {
  const norm = Math.sqrt(expected.reduce((sum, value) => sum + value * value, 0));
  const error = Math.sqrt(expected.reduce((sum, value, at) => sum + (actual[at]! - value) ** 2, 0));
  return norm === 0 ? error : error / norm;
}
