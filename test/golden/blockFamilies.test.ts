import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { families } from '../../engine/families/registry';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { TunerError } from '../../engine/protocol/errors';
import { blockCheckpoints } from '../support/blockCheckpoints/blockCheckpoints';
import { openResolved, testRuntime } from '../support/engineRun';
import { ReferenceCheckpoint } from '../support/reference/checkpoint';
import { relativeError } from '../support/reference/golden';
import { applyMoeBlock } from '../support/reference/moeBlock';
import { gaussianSource } from '../support/tinyCheckpoints/randomTensors';
import { tiny } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/** Relative Frobenius error of block outputs against the double-precision reference. */
const tolerance = 1e-4;
const tokens = 32;

const scratch = mkdtempSync(path.join(tmpdir(), 'block-families-'));

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

test('every family of the table has a checkpoint that tests it', async () => {
  const tested = new Set<string>();
  for (const [at, checkpoint] of [...tinyCheckpoints, ...blockCheckpoints].entries()) {
    const folder = writeTinyCheckpoint(checkpoint, path.join(scratch, `all-${at}`));
    tested.add((await openResolved(folder)).recognised.record.name);
    rmSync(folder, { recursive: true });
  }
  expect(families.map(({ name }) => name).filter((name) => !tested.has(name))).toEqual([]);
});

describe.each(blockCheckpoints.map((checkpoint) => [checkpoint.name, checkpoint] as const))(
  '%s',
  (name, checkpoint) => {
    test('blocks agree with the reference at every k', async () => {
      const folder = writeTinyCheckpoint(checkpoint, path.join(scratch, name.replaceAll(/\W+/g, '-')));
      const model = await openResolved(folder);
      const reference = new ReferenceCheckpoint(folder);
      expect(model.blocks.map(({ layer }) => layer)).toEqual([1, 2]);
      const gaussian = gaussianSource(`inputs of ${name}`, 1);
      const x = Float32Array.from({ length: tokens * tiny.hidden }, gaussian);
      for (const block of model.blocks) {
        const stem = checkpoint.stem.replace('{layer}', String(block.layer));
        const { block: oracle, finish } = checkpoint.reference(reference, stem, block.layer);
        expect(block.activeExperts).toBe(oracle.activeExperts);
        for (let k = 1; k <= block.activeExperts; k += 1) {
          const expected = Float64Array.from(
            Array.from({ length: tokens }, (_, token) => {
              const vector = Float64Array.from(x.subarray(token * tiny.hidden, (token + 1) * tiny.hidden));
              const { output } = applyMoeBlock(oracle, vector, k);
              return [...(finish?.(output) ?? output)];
            }).flat(),
          );
          const actual = await runBlock(block, x, k, testRuntime, quietJob());
          expect(relativeError(Float64Array.from(actual), expected), `layer ${block.layer}, k = ${k}`).toBeLessThan(
            tolerance,
          );
        }
      }
      const { decoder } = model.recognised.record;
      if (!decoder.supported) {
        expect(model.forwardRefusal).toContain(decoder.reason);
        expect(() => model.decoder()).toThrow(TunerError);
      }
    });
  },
);
