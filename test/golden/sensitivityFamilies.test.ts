import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { sensitivityGraph, sensitivityNames } from '../../engine/graph/sensitivityGraph';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { floats, openSession } from '../../engine/runtime/session';
import { blockCheckpoints } from '../support/blockCheckpoints/blockCheckpoints';
import { openResolved, testRuntime } from '../support/engineRun';
import { gaussianSource } from '../support/tinyCheckpoints/randomTensors';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/** Relative error of ‖Y_k − Y_k0‖ and ‖Y_k0‖ from the one-pass graph against direct forwards. */
const tolerance = 1e-5;
const tokens = 64;

const scratch = mkdtempSync(path.join(tmpdir(), 'sensitivity-families-'));
const all = [...tinyCheckpoints, ...blockCheckpoints].map((checkpoint) => [checkpoint.name, checkpoint] as const);

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

describe.each(all)('%s', (name, checkpoint) => {
  test('damage of every k from one pass equals the difference of two forwards', async () => {
    const folder = writeTinyCheckpoint(checkpoint, path.join(scratch, name.replaceAll(/\W+/g, '-')));
    const block = (await openResolved(folder)).blocks.at(-1)!;
    const k0 = block.activeExperts;
    const x = Float32Array.from({ length: tokens * block.hiddenSize }, gaussianSource(`probes of ${name}`, 2));
    const outputs: Float32Array[] = [];
    for (let k = 1; k <= k0; k += 1) {
      outputs.push(await runBlock(block, x, k, testRuntime, quietJob()));
    }
    const session = await openSession(sensitivityGraph(block), testRuntime);
    const result = await session.run({
      [sensitivityNames.x]: { type: 'float32', data: x, shape: [tokens, block.hiddenSize] },
    });
    await session.dispose();
    const full = outputs[k0 - 1]!;
    const norm = Math.sqrt(squares(full));
    expect(relative(Math.sqrt(total(floats(result, sensitivityNames.squaredNorm))), norm)).toBeLessThan(tolerance);
    for (let k = 1; k < k0; k += 1) {
      const direct = Math.sqrt(squares(full.map((value, at) => outputs[k - 1]![at]! - value)));
      const damages = floats(result, sensitivityNames.squaredDamage);
      const measured = Math.sqrt(total(damages.filter((_, at) => at % (k0 - 1) === k - 1)));
      expect(Math.abs(measured - direct) / Math.max(direct, 0.01 * norm), `k = ${k}`).toBeLessThan(tolerance);
    }
  });
});

function total(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function squares(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}

function relative(actual: number, expected: number): number {
  return Math.abs(actual - expected) / expected;
}
