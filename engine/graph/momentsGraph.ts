import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../families/specification';
import { intermediateActivations } from './feedForward';
import { GraphBuilder } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { router } from './router';

export const momentsNames = {
  x: 'x',
  activeExperts: 'active_experts',
  counts: 'counts',
  input: 'input_moments',
  intermediate: 'intermediate_moments',
} as const;

/**
 * Second moments of what the linear maps of some experts are given, Σ_t c_t x_t xᵀ_t over the tokens that chose the expert, with
 * c_t = gate^(2 · gatePower).
 *
 * Input `x [tokens, hidden]`, `active_experts` int64 `[1]`; outputs `counts` int64 `[n]`, `input_moments [n, hidden, hidden]` and
 * `intermediate_moments [n, width, width]` for the n experts. Where the gate is on the input of an expert (Llama-4), its inputs are
 * already multiplied and every token counts alike.
 *
 * @param experts positions of the experts in the block
 */
export function momentsGraph(
  block: MoeBlockSpec,
  experts: readonly number[],
  gatePower: 0 | 0.5 | 1,
  target: GraphTarget = cpuTarget,
): Uint8Array {
  const graph = new GraphBuilder(target);
  const { hiddenSize } = block;
  const x = graph.input(momentsNames.x, DataType.FLOAT, [null, hiddenSize]);
  const k = graph.input(momentsNames.activeExperts, DataType.INT64, [1]);
  const routing = router(graph, x, block.router, block.experts.length, k);
  const flat = graph.node('Reshape', [routing.experts, graph.integers([-1])]);
  const gates = graph.node('Reshape', [routing.gates(), graph.integers([-1, 1])]);
  const ranks = graph.node('Slice', [graph.node('Shape', [routing.experts]), graph.integers([1]), graph.integers([2])]);
  const scalarRanks = graph.node('Squeeze', [ranks]);
  const inputGates = block.router.apply === 'input';

  const counts: string[] = [];
  const inputs: string[] = [];
  const intermediates: string[] = [];
  for (const expert of experts) {
    const mine = graph.node('Equal', [flat, graph.integer(expert)]);
    const slots = graph.node('Reshape', [graph.node('NonZero', [mine]), graph.integers([-1])]);
    counts.push(graph.node('Size', [slots]));
    const rows = graph.node('Gather', [x, graph.node('Div', [slots, scalarRanks])], { axis: 0 });
    const gate = graph.node('Gather', [gates, slots], { axis: 0 });
    const seen = inputGates ? graph.node('Mul', [rows, gate]) : rows;
    // A row of zeros adds nothing, and keeps products of experts without tokens defined.
    const padded = graph.node('Concat', [seen, graph.floats(Array<number>(hiddenSize).fill(0), [1, hiddenSize])], {
      axis: 0,
    });
    const weighted = (values: string) => {
      if (inputGates || gatePower === 0) {
        return values;
      }
      const power = gatePower === 1 ? gate : graph.node('Sqrt', [graph.node('Relu', [gate])]);
      return graph.node('Mul', [values, graph.node('Concat', [power, graph.floats([0], [1, 1])], { axis: 0 })]);
    };
    inputs.push(moments(graph, weighted(padded)));
    const middle = intermediateActivations(graph, padded, block.experts[expert]!, block.activation);
    // Biases turn the row of zeros into something: it is left out again.
    const own = graph.node('Slice', [middle, graph.integers([0]), graph.integers([-1]), graph.integers([0])]);
    const width = block.experts[expert]!.down.inputSize;
    const zeros = graph.floats(Array<number>(width).fill(0), [1, width]);
    intermediates.push(moments(graph, weighted(graph.node('Concat', [own, zeros], { axis: 0 }))));
  }
  const stacked = (values: readonly string[]) =>
    graph.node(
      'Concat',
      values.map((value) => graph.node('Unsqueeze', [value, graph.integers([0])])),
      { axis: 0 },
    );
  graph.output(momentsNames.counts, stacked(counts), DataType.INT64, [experts.length]);
  graph.output(momentsNames.input, stacked(inputs), DataType.FLOAT, [experts.length, hiddenSize, hiddenSize]);
  graph.output(momentsNames.intermediate, stacked(intermediates), DataType.FLOAT, [experts.length, null, null]);
  return graph.build('moments');
}

/** `[rows, size]` → `[size, size]`. */
function moments(graph: GraphBuilder, rows: string): string {
  return graph.node('Gemm', [rows, rows], { transA: 1 });
}
