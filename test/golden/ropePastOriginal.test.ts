import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { RotarySpec } from '../../engine/families/specification';
import { inverseFrequencies } from '../../engine/graph/rotaryTables';
import { engineLogits, openResolved } from '../support/engineRun';
import { largestDifference } from '../support/reference/golden';
import { forwardModel, referenceModel } from '../support/reference/referenceForward';
import { longRopeFactors } from '../support/tinyCheckpoints/families/mixtral';
import { phiMoe, phiMoePastOriginal } from '../support/tinyCheckpoints/families/phiMoe';
import { tinyTokens, type TinyCheckpoint } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

const scratch = mkdtempSync(path.join(tmpdir(), 'rope-'));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

/** Logits of both test sequences, cut to a length, from the engine and from the double-precision reference. */
async function logitsAt(checkpoint: TinyCheckpoint, length: number) {
  const folder = writeTinyCheckpoint(checkpoint, path.join(scratch, checkpoint.name));
  const tokens = tinyTokens.map((sequence) => sequence.slice(0, length));
  const expected = forwardModel(referenceModel(folder, length), tokens).logits.flatMap((values) => [...values]);
  const model = await openResolved(folder);
  const engine = await engineLogits(
    model,
    tokens.map((sequence) => Int32Array.from(sequence)),
  );
  return { engine: Float64Array.from(engine), expected: Float64Array.from(expected) };
}

/** Rotary embedding of the first layer. */
async function rotaryOf(folder: string): Promise<RotarySpec | undefined> {
  const [layer] = (await openResolved(folder)).decoder().layers;
  return layer?.mixer.kind === 'grouped-query' ? layer.mixer.rotary : undefined;
}

describe('PhiMoE past its original length', () => {
  test.each([32, 48])('logits of %i tokens agree with the reference, trained on 32', async (length) => {
    const { engine, expected } = await logitsAt(phiMoePastOriginal, length);
    expect(largestDifference(engine, expected)).toBeLessThan(1e-3);
  });

  test('only sequences past the original length get the long scale', async () => {
    const scaleAt = async (checkpoint: TinyCheckpoint, time: number) => {
      const folder = writeTinyCheckpoint(checkpoint, path.join(scratch, `${checkpoint.name}-scale`));
      const { scaling, dimensions } = (await rotaryOf(folder))!;
      return inverseFrequencies(scaling, dimensions, time);
    };
    const [short, long] = [await scaleAt(phiMoePastOriginal, 32), await scaleAt(phiMoePastOriginal, 33)];
    expect([short.magnitude, long.magnitude]).toEqual([1.243, 1.31]);
    expect(long.frequencies).toEqual(short.frequencies);
    expect((await scaleAt(phiMoe[0]!, 33)).magnitude).toBe(1.243);
  });
});

describe('scalings that depend on the length, against the formulas of modeling_rope_utils in Transformers', () => {
  test.each([1, 23, 24, 25, 48, 1000])('dynamic, trained on 24 positions, %i tokens', async (length) => {
    const dynamic = tinyCheckpoints.find(({ name }) => name === 'mixtral-dynamic-rope')!;
    const folder = writeTinyCheckpoint(dynamic, path.join(scratch, `dynamic-${length}`));
    const rotary = (await rotaryOf(folder))!;
    const { frequencies, magnitude } = inverseFrequencies(rotary.scaling, rotary.dimensions, length);
    const [factor, trained, dimensions] = [3, 24, 16];
    const base =
      10000 * ((factor * Math.max(length, trained)) / trained - (factor - 1)) ** (dimensions / (dimensions - 2));
    frequencies.forEach((frequency, pair) => {
      expect(frequency * base ** ((2 * pair) / dimensions)).toBeCloseTo(1, 10);
    });
    expect([frequencies.length, magnitude]).toEqual([dimensions / 2, 1]);
  });

  test.each([24, 48])('dynamic: logits of %i tokens agree with the reference', async (length) => {
    const dynamic = tinyCheckpoints.find(({ name }) => name === 'mixtral-dynamic-rope')!;
    const { engine, expected } = await logitsAt(dynamic, length);
    expect(largestDifference(engine, expected)).toBeLessThan(1e-3);
  });

  test('longrope changes its factors one token after the original length', () => {
    const scaling = {
      kind: 'longrope',
      theta: 10000,
      shortFactor: longRopeFactors.short_factor,
      longFactor: longRopeFactors.long_factor,
      originalPositions: 32,
      shortScale: 1.1,
      longScale: 1.2,
    } as const;
    const factorsAt = (time: number) =>
      inverseFrequencies(scaling, 16, time).frequencies.map((value, pair) => 10000 ** ((-2 * pair) / 16) / value);
    factorsAt(32).forEach((factor, pair) => {
      expect(factor).toBeCloseTo(longRopeFactors.short_factor[pair]!, 10);
    });
    factorsAt(33).forEach((factor, pair) => {
      expect(factor).toBeCloseTo(longRopeFactors.long_factor[pair]!, 10);
    });
    expect([32, 33].map((time) => inverseFrequencies(scaling, 16, time).magnitude)).toEqual([1.1, 1.2]);
  });
});
