import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { readTensorFile, type Tensor } from './readTensors';

/** The tiny trained checkpoints with tensors captured from the original implementation, one folder a family. */
export const goldenFamiliesFolder = join(dirname(fileURLToPath(import.meta.url)), '../../golden/families');

const goldenSchema = z.object({ family: z.string(), k: z.number().int(), moe_blocks: z.array(z.string()) });

/** What was captured for one family. */
export interface Golden {
  readonly folder: string;
  readonly family: string;
  readonly configuredK: number;
  /** Module names such as `model.layers.1.mlp`, with the decoder layer of each. */
  readonly blocks: readonly { readonly name: string; readonly layer: number }[];
  /** Every k with captured outputs. */
  readonly capturedK: readonly number[];
  readonly ids: readonly (readonly number[])[];
  readonly tensor: (name: string) => Tensor;
}

/** The captures of one family that is kept with the tests. */
export function readGolden(family: string): Golden {
  return readGoldenFolder(join(goldenFamiliesFolder, family));
}

/** The captures beside the checkpoint of any folder. */
export function readGoldenFolder(folder: string): Golden {
  const description = goldenSchema.parse(JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')));
  const tensors = readTensorFile(join(folder, 'golden.safetensors'));
  const tensor = (name: string): Tensor => {
    const found = tensors.get(name);
    if (found === undefined) throw new Error(`${folder} has no golden tensor ${name}.`);
    return found;
  };
  const ids = tensor('input_ids');
  const length = ids.shape[1]!;
  return {
    folder,
    family: description.family,
    configuredK: description.k,
    blocks: description.moe_blocks.map((name) => ({ name, layer: Number(/layers\.(\d+)/.exec(name)![1]) })),
    capturedK: [...tensors.keys()].flatMap((name) => /^logits\.k(\d+)$/.exec(name)?.slice(1, 2).map(Number) ?? []),
    ids: Array.from({ length: ids.shape[0]! }, (_, row) => [...ids.data.slice(row * length, (row + 1) * length)]),
    tensor,
  };
}

/** The largest absolute difference. */
export function largestDifference(actual: Float64Array, expected: Float64Array): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} values against ${expected.length}.`);
  return actual.reduce((largest, value, index) => Math.max(largest, Math.abs(value - expected[index]!)), 0);
}

/** `‖actual − expected‖ / ‖expected‖` (Frobenius). */
export function relativeError(actual: Float64Array, expected: Float64Array): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} values against ${expected.length}.`);
  let error = 0;
  let size = 0;
  expected.forEach((value, index) => {
    error += (actual[index]! - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(error / size);
}
