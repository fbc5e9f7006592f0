import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ResolvedModel } from '../../engine/families/resolveModel';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { engineLogits, openResolved, testRuntime } from '../support/engineRun';
import { largestDifference, relativeError } from '../support/reference/golden';
import { forwardBlock, forwardModel, referenceModel } from '../support/reference/referenceForward';
import type { DecoderModel } from '../support/reference/decoder';
import { tinyTokens } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/** Absolute error of logits, and relative Frobenius error of block outputs, against the double-precision reference. */
const logitTolerance = 1e-3;
const blockTolerance = 1e-4;

const scratch = mkdtempSync(path.join(tmpdir(), 'tiny-families-'));
const sequences = tinyTokens.map((tokens) => Int32Array.from(tokens));

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

describe.each(tinyCheckpoints.map((checkpoint) => [checkpoint.name, checkpoint] as const))('%s', (name, checkpoint) => {
  let reference: DecoderModel;
  let model: ResolvedModel;

  beforeAll(async () => {
    const folder = writeTinyCheckpoint(checkpoint, path.join(scratch, name));
    reference = referenceModel(folder, tinyTokens[0]!.length);
    model = await openResolved(folder);
  });

  test('logits and arg-max agree with the reference, and so do blocks at every k', async () => {
    const expected = forwardModel(reference, tinyTokens);
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
