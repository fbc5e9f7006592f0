import { expect } from 'vitest';
import type { DecoderModel } from './decoder';
import { largestDifference, relativeError, type Golden } from './golden';
import { forwardBlock, forwardModel } from './referenceForward';

/** Logits within 1e-3 and the same best token everywhere, with the configured k and at every captured k. */
export function expectCapturedLogits(model: DecoderModel, golden: Golden): void {
  for (const activeExperts of [undefined, ...golden.capturedK]) {
    const expected = golden.tensor(activeExperts === undefined ? 'logits' : `logits.k${activeExperts}`);
    const { logits } = forwardModel(model, golden.ids, activeExperts === undefined ? {} : { activeExperts });
    const actual = Float64Array.from(logits.flatMap((sequence) => [...sequence]));
    expect(largestDifference(actual, expected.data), `k ${activeExperts ?? 'configured'}`).toBeLessThan(1e-3);
    expect(argMaxima(actual, expected.shape[2]!)).toEqual(argMaxima(expected.data, expected.shape[2]!));
  }
}

/** What enters every mixture block, within 1e-4 of the capture (Frobenius). */
export function expectCapturedBlockInputs(model: DecoderModel, golden: Golden): void {
  const { moeInputs } = forwardModel(model, golden.ids);
  expect([...moeInputs.keys()]).toEqual(golden.blocks.map((block) => block.layer));
  for (const { name, layer } of golden.blocks) {
    expect(relativeError(moeInputs.get(layer)!, golden.tensor(`moe_in.${name}`).data)).toBeLessThan(1e-4);
  }
}

/** What leaves every mixture block at every k, on captured and on Gaussian inputs, within 1e-4 (Frobenius). */
export function expectCapturedBlockOutputs(model: DecoderModel, golden: Golden): void {
  for (const { name, layer } of golden.blocks) {
    for (const k of golden.capturedK) {
      const captured = forwardBlock(model, layer, golden.tensor(`moe_in.${name}`).data, k);
      expect(relativeError(captured, golden.tensor(`moe_out.k${k}.${name}`).data)).toBeLessThan(1e-4);
      const gaussian = forwardBlock(model, layer, golden.tensor('gauss').data, k);
      expect(relativeError(gaussian, golden.tensor(`gauss_out.k${k}.${name}`).data)).toBeLessThan(1e-4);
    }
  }
}

function argMaxima(logits: Float64Array, vocabulary: number): number[] {
  return Array.from({ length: logits.length / vocabulary }, (_, position) => {
    const row = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
    return row.indexOf(Math.max(...row));
  });
}
