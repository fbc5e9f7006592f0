import { assertFinite, readTensorFloat32 } from '../checkpoint/readTensor';
import { TunerError } from '../protocol/errors';
import { specTensors } from '../families/specTensors';

/** Whether all values are finite numbers. */
export function allFinite(values: Float32Array): boolean {
  let sum = 0;
  for (const value of values) {
    sum += value * 0;
  }
  return sum === 0;
}

/**
 * Explains why a layer gave numbers that are not finite: the first stored tensor with such a value, or an overflow.
 * @throws TunerError always: `nonFiniteWeights` naming file, tensor and position, else `runtimeFailed`
 */
export async function explainNonFinite(specification: unknown, layer: number): Promise<never> {
  for (const entry of specTensors(specification)) {
    if (entry.dtype !== 'U8') {
      assertFinite(entry, await readTensorFloat32(entry));
    }
  }
  throw new TunerError(
    'runtimeFailed',
    `The activations of layer ${layer} overflowed although its weights are finite.`,
    {
      place: `layer ${layer}`,
      wayOut: 'Check the scaling factors in config.json.',
    },
  );
}
