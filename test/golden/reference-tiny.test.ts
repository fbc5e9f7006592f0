import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { familyBuilders } from '../support/reference/families';
import { largestDifference } from '../support/reference/golden';
import { readTensorFile } from '../support/reference/readTensors';
import { referenceForward } from '../support/reference/referenceForward';
import { tiny, tinyTokens } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

const captures = join(dirname(fileURLToPath(import.meta.url)), 'transformers');
const capturedLogits = readTensorFile(join(captures, 'logits.safetensors'));
const { positions, sha256 } = z
  .object({ positions: z.array(z.number()), sha256: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(join(captures, 'checkpoints.json'), 'utf8')));
const scratch = mkdtempSync(join(tmpdir(), 'tiny-checkpoints-'));

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

it('has a capture for every tiny checkpoint, and no name twice', () => {
  const names = tinyCheckpoints.map((checkpoint) => checkpoint.name);
  expect(Object.keys(sha256).sort()).toEqual([...names].sort());
});

it('has a tiny checkpoint for every family of the reference', () => {
  const families = tinyCheckpoints.map(({ config }) => JSON.stringify(config));
  expect(
    Object.keys(familyBuilders).filter(
      (family) => !families.some((config) => config.includes(`"model_type":"${family}"`)),
    ),
  ).toEqual([]);
});

describe.each(tinyCheckpoints.map((checkpoint) => [checkpoint.name, checkpoint] as const))('%s', (name, checkpoint) => {
  const folder = writeTinyCheckpoint(checkpoint, join(scratch, name));

  it('is written with the bytes that were captured', () => {
    const bytes = readFileSync(join(folder, 'model.safetensors'));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256[name]);
  });

  it('gives the logits of the original implementation, with no router near a tie', () => {
    const { logits, smallestRoutingMargin } = referenceForward(folder, tinyTokens);
    const chosen = logits.flatMap((sequence) =>
      positions.flatMap((position) => [
        ...sequence.slice(position * tiny.vocabulary, (position + 1) * tiny.vocabulary),
      ]),
    );
    expect(largestDifference(Float64Array.from(chosen), capturedLogits.get(name)!.data)).toBeLessThan(1e-4);
    expect(smallestRoutingMargin).toBeGreaterThan(5e-5);
  });
});
