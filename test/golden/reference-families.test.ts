import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { goldenFamiliesFolder, largestDifference, readGolden, relativeError } from '../support/reference/golden';
import { forwardBlock, forwardModel, referenceForward, referenceModel } from '../support/reference/referenceForward';

const families = readdirSync(goldenFamiliesFolder);

it('has the eleven captured families', () => {
  expect(families).toHaveLength(11);
});

describe.each(families)('reference forward of %s', (family) => {
  const golden = readGolden(family);
  const model = referenceModel(golden.folder, golden.ids[0]!.length);

  it('gives the captured logits with the configured k and every captured k', () => {
    const captured = [undefined, ...golden.capturedK];
    for (const activeExperts of captured) {
      const expected = golden.tensor(activeExperts === undefined ? 'logits' : `logits.k${activeExperts}`);
      const options = activeExperts === undefined ? {} : { activeExperts };
      const { logits } = forwardModel(model, golden.ids, options);
      const actual = Float64Array.from(logits.flatMap((sequence) => [...sequence]));
      expect(largestDifference(actual, expected.data), `k ${activeExperts ?? 'configured'}`).toBeLessThan(1e-3);
      expect(argMaxima(actual, expected.shape[2]!)).toEqual(argMaxima(expected.data, expected.shape[2]!));
    }
  });

  it('feeds every mixture block the captured input', () => {
    const { moeInputs } = referenceForward(golden.folder, golden.ids);
    expect([...moeInputs.keys()]).toEqual(golden.blocks.map((block) => block.layer));
    for (const { name, layer } of golden.blocks) {
      expect(relativeError(moeInputs.get(layer)!, golden.tensor(`moe_in.${name}`).data)).toBeLessThan(1e-4);
    }
  });

  it('gives the captured block outputs at every k, on captured and on Gaussian inputs', () => {
    for (const { name, layer } of golden.blocks) {
      for (const k of golden.capturedK) {
        const captured = forwardBlock(model, layer, golden.tensor(`moe_in.${name}`).data, k);
        expect(relativeError(captured, golden.tensor(`moe_out.k${k}.${name}`).data)).toBeLessThan(1e-4);
        const gaussian = forwardBlock(model, layer, golden.tensor('gauss').data, k);
        expect(relativeError(gaussian, golden.tensor(`gauss_out.k${k}.${name}`).data)).toBeLessThan(1e-4);
      }
    }
  });
});

function argMaxima(logits: Float64Array, vocabulary: number): number[] {
  return Array.from({ length: logits.length / vocabulary }, (_, position) => {
    const row = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
    return row.indexOf(Math.max(...row));
  });
}
