import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { AttributeValue, GraphBuilder, Value } from '../graphBuilder';

/** Operators that multiply matrices. */
const products = new Set(['Gemm', 'MatMul']);

/** Operators that move values about without changing them. */
const movers = new Set(['Gather', 'Reshape', 'Transpose', 'Slice', 'Concat', 'Identity', 'Unsqueeze', 'Squeeze']);

export function isProduct(operator: string): boolean {
  return products.has(operator);
}

/** Whether an operator only moves exact factors: the first input of a mover carries the values, all of them for Concat. */
export function isExactFactor(operator: string, inputs: readonly Value[], exact: ReadonlySet<Value>): boolean {
  const carriers = operator === 'Concat' ? inputs : inputs.slice(0, 1);
  return movers.has(operator) && carriers.every((input) => exact.has(input));
}

/**
 * A float32 product on tensor cores that round factors to 11 significant bits (TF32) and add in float32. Each factor that may
 * have more bits is the sum of its bfloat16 rounding and the rest, `a = a' + a''`, and the product the sum of
 * `a'·b'`, `a''·b'` and `a'·b''`; what is left out is below 2^-16 of a factor twice over. Weights stored with 16 bits or
 * fewer are exact as they are and need two products. (The scheme of Henry, Tang and Heinecke, arXiv 1904.06376, §2.)
 */
export function splitProduct(
  graph: GraphBuilder,
  operator: string,
  inputs: readonly Value[],
  attributes: Readonly<Record<string, AttributeValue>>,
): Value {
  const [left, right, bias] = inputs as [Value, Value, Value | undefined];
  const a = halves(graph, left);
  const b = halves(graph, right);
  // Small terms first, so that they are not lost.
  const terms: [Value, Value][] = [
    ...(b.rest === undefined ? [] : [[a.main, b.rest] as [Value, Value]]),
    ...(a.rest === undefined ? [] : [[a.rest, b.main] as [Value, Value]]),
    [a.main, b.main],
  ];
  let sum = bias;
  for (const factors of terms) {
    if (operator === 'Gemm') {
      sum = graph.append('Gemm', sum === undefined ? factors : [...factors, sum], attributes);
    } else {
      const product = graph.append('MatMul', factors, attributes);
      sum = sum === undefined ? product : graph.append('Add', [sum, product]);
    }
  }
  return sum!;
}

function halves(graph: GraphBuilder, value: Value): { readonly main: Value; readonly rest: Value | undefined } {
  if (graph.isExactFactor(value)) {
    return { main: value, rest: undefined };
  }
  const main = graph.derived(`main:${value}`, () =>
    graph.append('Cast', [graph.append('Cast', [value], { to: DataType.BFLOAT16 })], { to: DataType.FLOAT }),
  );
  return { main, rest: graph.derived(`rest:${value}`, () => graph.append('Sub', [value, main])) };
}
