import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { engineLogits, openResolved, testRuntime } from '../support/engineRun';
import type { DecoderModel } from '../support/reference/decoder';
import { familyBuilders } from '../support/reference/families';
import { largestDifference, relativeError } from '../support/reference/golden';
import { readTensorFile } from '../support/reference/readTensors';
import { forwardBlock, forwardModel, referenceModel } from '../support/reference/referenceForward';
import { tiny, tinyTokens } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/** Absolute error of logits, and relative Frobenius error of block outputs, against the double-precision reference. */
const logitTolerance = 1e-3;
const blockTolerance = 1e-4;

/** What the original implementation made of the same checkpoints: `transformers/capture.py`. */
const captures = path.join(import.meta.dirname, 'transformers');
const capturedLogits = readTensorFile(path.join(captures, 'logits.safetensors'));
const { positions, sha256 } = z
  .object({ positions: z.array(z.number()), sha256: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(path.join(captures, 'checkpoints.json'), 'utf8')));

const scratch = mkdtempSync(path.join(tmpdir(), 'tiny-families-'));
const sequences = tinyTokens.map((tokens) => Int32Array.from(tokens));

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

test('there is a capture for every tiny checkpoint, and no name twice', () => {
  const names = tinyCheckpoints.map((checkpoint) => checkpoint.name);
  expect(Object.keys(sha256).sort()).toEqual([...names].sort());
});

test('there is a tiny checkpoint for every family of the reference', () => {
  const families = tinyCheckpoints.map(({ config }) => JSON.stringify(config));
  expect(
    Object.keys(familyBuilders).filter(
      (family) => !families.some((config) => config.includes(`"model_type":"${family}"`)),
    ),
  ).toEqual([]);
});

describe.each(tinyCheckpoints.map((checkpoint) => [checkpoint.name, checkpoint] as const))('%s', (name, checkpoint) => {
  let folder: string;
  let reference: DecoderModel;
  let expected: ReturnType<typeof forwardModel>;

  beforeAll(() => {
    folder = writeTinyCheckpoint(checkpoint, path.join(scratch, name));
    reference = referenceModel(folder, tinyTokens[0]!.length);
    expected = forwardModel(reference, tinyTokens);
  });

  test('the checkpoint has the bytes that were captured', () => {
    const bytes = readFileSync(path.join(folder, 'model.safetensors'));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256[name]);
  });

  test('the reference gives the logits of the original implementation, with no router near a tie', () => {
    const chosen = expected.logits.flatMap((sequence) =>
      positions.flatMap((position) => [
        ...sequence.slice(position * tiny.vocabulary, (position + 1) * tiny.vocabulary),
      ]),
    );
    expect(largestDifference(Float64Array.from(chosen), capturedLogits.get(name)!.data)).toBeLessThan(1e-4);
    expect(expected.smallestRoutingMargin).toBeGreaterThan(5e-5);
  });

  test('logits and arg-max agree with the reference, and so do blocks at every k', async () => {
    const model = await openResolved(folder);
    const logits = await engineLogits(model, sequences);
    const expectedLogits = Float64Array.from(expected.logits.flatMap((values) => [...values]));
    expect(largestDifference(Float64Array.from(logits), expectedLogits)).toBeLessThan(logitTolerance);
    expect(argMaxima(logits, model.vocabularySize)).toEqual(argMaxima(expectedLogits, model.vocabularySize));

    expect(model.blocks.map(({ layer }) => layer)).toEqual([...expected.moeInputs.keys()]);
    for (const block of model.blocks.slice(0, 2)) {
      const input = expected.moeInputs.get(block.layer)!.slice(0, 24 * model.hiddenSize);
      for (let k = 1; k <= block.activeExperts; k += 1) {
        const output = await runBlock(block, Float32Array.from(input), k, testRuntime, quietJob());
        const correct = forwardBlock(reference, block.layer, input, k);
        expect(relativeError(Float64Array.from(output), correct), `layer ${block.layer}, k = ${k}`).toBeLessThan(
          blockTolerance,
        );
      }
    }
  });
});

function argMaxima(logits: Float32Array | Float64Array, width: number): number[] {
  return Array.from({ length: logits.length / width }, (_, row) => {
    const values = [...logits.subarray(row * width, (row + 1) * width)];
    return values.indexOf(Math.max(...values));
  });
}
