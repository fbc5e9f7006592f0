import type { Tensor } from './readTensors';

/** A dense layer as stored: weight `[out, in]`, optional bias `[out]`. */
export interface Linear {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
}

/** `W x + b` for one vector `[in]`, giving `[out]`. */
export function applyLinear(layer: Linear, vector: Float64Array): Float64Array {
  const [outputs, inputs] = matrixShape(layer.weight);
  if (inputs !== vector.length) throw new Error(`A layer of ${inputs} inputs was given a vector of ${vector.length}.`);
  const result = new Float64Array(outputs);
  for (let output = 0; output < outputs; output += 1) {
    let sum = layer.bias === undefined ? 0 : layer.bias.data[output]!;
    for (let input = 0; input < inputs; input += 1) sum += layer.weight.data[output * inputs + input]! * vector[input]!;
    result[output] = sum;
  }
  return result;
}

/** Rows and columns of a two-dimensional tensor. */
export function matrixShape(tensor: Tensor): [number, number] {
  if (tensor.shape.length !== 2) throw new Error(`Expected a matrix, found shape [${tensor.shape.join(', ')}].`);
  return [tensor.shape[0]!, tensor.shape[1]!];
}

/** One slice along the first axis: `[n, ...rest]` at `index` gives `[...rest]`. */
export function slice(tensor: Tensor, index: number): Tensor {
  const shape = tensor.shape.slice(1);
  const size = shape.reduce((product, length) => product * length, 1);
  if (index < 0 || index >= tensor.shape[0]!) throw new Error(`Slice ${index} of shape [${tensor.shape.join(', ')}].`);
  return { shape, data: tensor.data.slice(index * size, (index + 1) * size) };
}

/** Rows `start`, `start + step`, … (`count` of them) of a matrix. */
export function rows(tensor: Tensor, start: number, count: number, step = 1): Tensor {
  const [, columns] = matrixShape(tensor);
  const data = new Float64Array(count * columns);
  for (let row = 0; row < count; row += 1) {
    const source = (start + row * step) * columns;
    data.set(tensor.data.subarray(source, source + columns), row * columns);
  }
  return { shape: [count, columns], data };
}

/** Elements `start`, `start + step`, … (`count` of them) of a vector. */
export function elements(tensor: Tensor, start: number, count: number, step = 1): Tensor {
  return {
    shape: [count],
    data: Float64Array.from({ length: count }, (_, index) => tensor.data[start + index * step]!),
  };
}

export function transpose(tensor: Tensor): Tensor {
  const [height, width] = matrixShape(tensor);
  const data = new Float64Array(tensor.data.length);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) data[column * height + row] = tensor.data[row * width + column]!;
  }
  return { shape: [width, height], data };
}

/** `a + scale * b`, element by element. */
export function addScaled(a: Float64Array, b: Float64Array, scale = 1): Float64Array {
  return a.map((value, index) => value + scale * b[index]!);
}

export function scaled(vector: Float64Array, scale: number): Float64Array {
  return vector.map((value) => value * scale);
}

/** Softmax of a vector; entries of −∞ get weight 0. */
export function softmax(values: readonly number[] | Float64Array): Float64Array {
  const largest = Math.max(...values);
  const exponentials = Float64Array.from(values, (value) => Math.exp(value - largest));
  const sum = exponentials.reduce((left, right) => left + right, 0);
  return exponentials.map((value) => value / sum);
}

export function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value));
}
