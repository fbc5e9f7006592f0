import { TensorProto_DataType as DataType } from 'onnx-buf';
import { afterAll, describe, expect, it } from 'vitest';
import type { LinearSpec } from '../../engine/families/specification';
import { GraphBuilder } from '../../engine/graph/graphBuilder';
import { cpuTarget, type GraphTarget } from '../../engine/graph/graphTarget';
import { linear } from '../../engine/graph/linear';
import { dequantize, type Matrix } from '../../engine/methods/quantize/quantizedMatrix';
import { roundToNearest } from '../../engine/methods/quantize/roundToNearest';
import { weightedRounding } from '../../engine/methods/quantize/quantizers';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { fillStandardNormal } from '../../engine/numeric/standardNormal';
import { floats, openSession } from '../../engine/runtime/session';
import { writeQuantized } from '../../engine/transform/quantizeWeights';
import { ScratchWeights } from '../../engine/transform/scratchWeights';
import { testRuntime } from '../support/engineRun';

const [rows, columns] = [48, 256];
const scratch = new ScratchWeights();

afterAll(() => scratch.dispose());

function normals(count: number, seed: number): Float32Array {
  const values = new Float32Array(count);
  fillStandardNormal(values, new SeededRandom(seed));
  return values;
}

function productGraph(spec: LinearSpec, target: GraphTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const x = graph.input('x', DataType.FLOAT, [null, spec.inputSize]);
  graph.output('y', linear(graph, x, spec), DataType.FLOAT, [null, spec.outputSize]);
  return graph.build('product');
}

async function product(graph: Uint8Array, x: Float32Array): Promise<Float32Array> {
  const session = await openSession(graph, testRuntime);
  try {
    return floats(await session.run({ x: { type: 'float32', data: x, shape: [x.length / columns, columns] } }), 'y');
  } finally {
    await session.dispose();
  }
}

/** x · Wᵀ in float64. */
function exactProduct(x: Float32Array, weights: Float32Array): Float64Array {
  const tokens = x.length / columns;
  return Float64Array.from({ length: tokens * rows }, (_, at) => {
    const [token, row] = [Math.floor(at / rows), at % rows];
    let sum = 0;
    for (let column = 0; column < columns; column += 1) {
      sum += x[token * columns + column]! * weights[row * columns + column]!;
    }
    return sum;
  });
}

function distance(left: ArrayLike<number>, right: ArrayLike<number>): number {
  let [error, size] = [0, 0];
  for (let at = 0; at < right.length; at += 1) {
    error += (left[at]! - right[at]!) ** 2;
    size += right[at]! ** 2;
  }
  return Math.sqrt(error / size);
}

const operatorName = 'MatMulNBits';
const isRunByOperator = (graph: Uint8Array) => Buffer.from(graph).includes(operatorName);

describe('products with rounded weights on the processor', () => {
  const cases = ([2, 3, 4, 8] as const).flatMap((bits) =>
    [16, 32, 64, 128, 256].flatMap((group) => [true, false].map((symmetric) => [bits, group, symmetric] as const)),
  );

  it.each(cases)(`by ${operatorName}: %s bits, groups of %s, centred %s`, async (bits, group, symmetric) => {
    const matrix: Matrix = { values: normals(rows * columns, group + bits), rows, columns };
    // Searched levels have scales of both signs.
    const round = symmetric ? weightedRounding : roundToNearest;
    const rounded = round(matrix, { bits, group, symmetric });
    const weight = await writeQuantized(scratch, 'weight', rounded);
    const spec: LinearSpec = { weight, orientation: 'output-major', inputSize: columns, outputSize: rows };
    const graph = productGraph(spec, cpuTarget);
    const decoded = productGraph(spec, { ...cpuTarget, quantizedProducts: 'decoded' });
    expect(isRunByOperator(graph)).toBe(true);
    expect(isRunByOperator(decoded)).toBe(false);
    for (const tokens of [1, 37]) {
      const x = normals(tokens * columns, tokens);
      const exact = exactProduct(x, dequantize(rounded));
      const [byOperator, byDecoding] = [await product(graph, x), await product(decoded, x)];
      expect(distance(byDecoding, exact)).toBeLessThan(1e-6);
      expect(distance(byOperator, exact), `${tokens} tokens`).toBeLessThan(1e-6);
    }
  });

  it('decode what the operator does not take: groups that are no power of two', async () => {
    const values = normals(rows * 192, 3);
    const rounded = roundToNearest({ values, rows, columns: 192 }, { bits: 4, group: 48, symmetric: true });
    const weight = await writeQuantized(scratch, 'weight', rounded);
    const spec: LinearSpec = { weight, orientation: 'output-major', inputSize: 192, outputSize: rows };
    expect(isRunByOperator(productGraph(spec, cpuTarget))).toBe(false);
  });
});
