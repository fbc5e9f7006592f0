/** What a tensor is for, which decides how its random values are scaled so that activations stay near one. */
export type TensorRole = 'weight' | 'embedding' | 'norm' | 'bias' | 'router' | 'choiceBias' | 'sink';

/** How a tensor is stored. `MXFP4` and `FP8` become two tensors each: values and scales. */
export type Storage = 'BF16' | 'F32' | 'MXFP4' | 'FP8';

/** One tensor of a tiny checkpoint. */
export interface TinyTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: TensorRole;
  /** Inputs of each output unit; the last axis where absent. */
  readonly fanIn?: number;
  readonly storage?: Storage;
}

/** Uniform numbers in [0, 1) from a text and a seed: the same tensor gets the same values in every run. */
export function uniformSource(text: string, seed: number): () => number {
  let state = seed >>> 0;
  for (const character of text) state = Math.imul(state ^ character.codePointAt(0)!, 0x9e3779b1) ^ (state >>> 15);
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Approximately Gaussian values: the sum of twelve uniform numbers less six, exact in every JavaScript engine. */
export function gaussianSource(text: string, seed: number): () => number {
  const uniform = uniformSource(text, seed);
  return () => {
    let sum = -6;
    for (let draw = 0; draw < 12; draw += 1) sum += uniform();
    return sum;
  };
}

/** The random values of one tensor. */
export function randomValues(tensor: TinyTensor, seed: number): Float64Array {
  const count = tensor.shape.reduce((product, length) => product * length, 1);
  const gaussian = gaussianSource(tensor.name, seed);
  const fanIn = tensor.fanIn ?? tensor.shape.at(-1)!;
  const [offset, deviation] = distribution(tensor.role, fanIn);
  return Float64Array.from({ length: count }, () => offset + deviation * gaussian());
}

/** Mean and standard deviation by role. */
function distribution(role: TensorRole, fanIn: number): readonly [number, number] {
  switch (role) {
    case 'weight':
      return [0, 1 / Math.sqrt(fanIn)];
    case 'embedding':
      return [0, 1];
    case 'norm':
      return [1, 0.1];
    case 'bias':
      return [0, 0.2];
    case 'router':
      return [0, 2 / Math.sqrt(fanIn)];
    case 'choiceBias':
      return [0, 0.05];
    case 'sink':
      return [0, 1];
  }
}
