import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { MoeBlockSpec } from '../families/specification';
import { feedForward } from './feedForward';
import type { GraphBuilder, Value } from './graphBuilder';

/**
 * Every expert runs on its own rows only, inside an `If`: the weights of an expert that no token chose are never read
 * from disk. Parameters and result are those of `expertOutputs`.
 */
export function conditionalExperts(
  graph: GraphBuilder,
  x: Value,
  block: MoeBlockSpec,
  experts: Value,
  inputGates: Value | undefined,
): Value {
  const flat = graph.node('Reshape', [experts, graph.integers([-1])]);
  const k = graph.node('Slice', [graph.node('Shape', [experts]), graph.integers([1]), graph.integers([2])]);
  const scalarK = graph.node('Squeeze', [k]);
  const flatGates = inputGates === undefined ? undefined : graph.node('Reshape', [inputGates, graph.integers([-1, 1])]);

  const outputs: Value[] = [];
  const positions: Value[] = [];
  for (const [expert, network] of block.experts.entries()) {
    const mine = graph.node('Equal', [flat, graph.integer(expert)]);
    const slots = graph.node('Reshape', [graph.node('NonZero', [mine]), graph.integers([-1])]);
    positions.push(slots);
    const any = graph.node('Greater', [graph.node('Size', [slots]), graph.integer(0)]);
    outputs.push(
      graph.node('If', [any], {
        then_branch: graph.branch((branch) => {
          const tokens = branch.node('Div', [slots, scalarK]);
          const rows = branch.node('Gather', [x, tokens], { axis: 0 });
          const gated =
            flatGates === undefined
              ? rows
              : branch.node('Mul', [rows, branch.node('Gather', [flatGates, slots], { axis: 0 })]);
          const value = feedForward(branch, gated, network, block.activation);
          return [{ value, elementType: DataType.FLOAT, rank: 2 }];
        }),
        else_branch: graph.branch((branch) => {
          const value = branch.node('Identity', [graph.floats([], [0, block.hiddenSize])]);
          return [{ value, elementType: DataType.FLOAT, rank: 2 }];
        }),
      }),
    );
  }

  const byExpert = graph.node('Concat', outputs, { axis: 0 });
  const slotOfRow = graph.node('Concat', positions, { axis: 0 });
  const rowNumbers = graph.node('Range', [graph.integer(0), graph.node('Size', [flat]), graph.integer(1)]);
  const rowOfSlot = graph.node('ScatterElements', [rowNumbers, slotOfRow, rowNumbers], { axis: 0 });
  const bySlot = graph.node('Gather', [byExpert, rowOfSlot], { axis: 0 });
  const shape = graph.node('Concat', [graph.integers([-1]), k, graph.integers([block.hiddenSize])], { axis: 0 });
  return graph.node('Reshape', [bySlot, shape]);
}
