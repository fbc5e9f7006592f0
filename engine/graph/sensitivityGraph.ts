import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { TensorEntry } from '../checkpoint/types';
import type { MoeBlockSpec } from '../families/specification';
import { combinedSquares } from './gpu/combinedSquares';
import { GraphBuilder, type Value } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { moeBlockValues } from './moeBlock';
import { gatesOfEveryK } from './rankGates';

/** Names of the inputs and outputs of the sensitivity graph. */
export const sensitivityNames = {
  x: 'x',
  rows: 'rows',
  squaredDamage: 'squared_damage',
  squaredNorm: 'squared_norm',
} as const;

/**
 * One forward with all k0 experts, and the damage of every smaller k from it: the chosen experts are ranked by the
 * model's own rule, so the output at k is the sum over the first k ranks with the gates the model would give them.
 *
 * Input `x [tokens, hidden]`; outputs `squared_damage [tokens, k0 - 1]` = ||y_k - y_k0||^2 of every token for
 * k = 1 … k0 - 1 (absent when k0 is 1) and `squared_norm [tokens, 1]` = ||y_k0||^2. Only these numbers leave the graph; sums over
 * tokens are the caller's, so that one run may hold several batches.
 *
 * @param resident probe inputs F32 `[tokens, hidden]` that are loaded with the graph, once for all its runs; the input is then `rows`
 * int64 `[n]`, which of them to use: numbers that follow each other
 */
export function sensitivityGraph(
  block: MoeBlockSpec,
  target: GraphTarget = cpuTarget,
  resident?: TensorEntry,
): Uint8Array {
  const graph = new GraphBuilder(target);
  const k0 = block.activeExperts;
  const x = resident === undefined ? fedInput(graph, block) : residentInput(graph, resident);
  const { routing, outputs, shared } = moeBlockValues(graph, x, block, graph.integers([k0]));

  const rows = gatesOfEveryK(graph, block, routing);
  const full = rows[k0 - 1]!;
  const reduced = k0 > 1 ? graph.node('Sub', [graph.node('Concat', rows.slice(0, -1), { axis: 1 }), full]) : undefined;
  const { norm, damage } = target.gramSquares
    ? throughGram(graph, x, { full, reduced, outputs, shared })
    : throughOutputs(graph, { full, reduced, outputs, shared });
  graph.output(sensitivityNames.squaredNorm, norm, DataType.FLOAT, [null, 1]);
  if (damage !== undefined) {
    graph.output(sensitivityNames.squaredDamage, damage, DataType.FLOAT, [null, k0 - 1]);
  }
  return graph.build('sensitivity');
}

/** Gates of all k0 ranks `[tokens, 1, k0]`, what they differ by at smaller k `[tokens, k0 - 1, k0]`, and what they multiply. */
interface Combinations {
  readonly full: Value;
  readonly reduced: Value | undefined;
  readonly outputs: Value;
  readonly shared: Value | undefined;
}

interface Squares {
  readonly norm: Value;
  readonly damage: Value | undefined;
}

function throughOutputs(graph: GraphBuilder, { full, reduced, outputs, shared }: Combinations): Squares {
  const routed = graph.node('MatMul', [full, outputs]);
  const total =
    shared === undefined ? routed : graph.node('Add', [routed, graph.node('Unsqueeze', [shared, graph.integers([1])])]);
  return {
    norm: sumOfSquares(graph, total),
    damage: reduced === undefined ? undefined : sumOfSquares(graph, graph.node('MatMul', [reduced, outputs])),
  };
}

/** All at once; what the block adds to its experts is one more vector, which only the norm counts. */
function throughGram(graph: GraphBuilder, x: Value, { full, reduced, outputs, shared }: Combinations): Squares {
  const more = (weights: Value, weight: number) =>
    shared === undefined
      ? weights
      : graph.node('Pad', [weights, graph.integers([0, 0, 0, 0, 0, 1]), graph.float(weight)], { mode: 'constant' });
  const weights = [more(full, 1), ...(reduced === undefined ? [] : [more(reduced, 0)])];
  const vectors = [outputs];
  if (shared !== undefined) {
    const everywhere = graph.node('Expand', [shared, graph.node('Shape', [x])]);
    vectors.push(graph.node('Unsqueeze', [everywhere, graph.integers([1])]));
  }
  const joined = (values: readonly Value[]) =>
    values.length === 1 ? values[0]! : graph.node('Concat', values, { axis: 1 });
  const squares = combinedSquares(graph, joined(weights), joined(vectors));
  const columns = (start: number, end: number) =>
    graph.node('Slice', [squares, graph.integers([start]), graph.integers([end]), graph.integers([1])]);
  return { norm: columns(0, 1), damage: reduced === undefined ? undefined : columns(1, 2 ** 31) };
}

function fedInput(graph: GraphBuilder, block: MoeBlockSpec): Value {
  return graph.input(sensitivityNames.x, DataType.FLOAT, [null, block.hiddenSize]);
}

function residentInput(graph: GraphBuilder, probes: TensorEntry): Value {
  const rows = graph.input(sensitivityNames.rows, DataType.INT64, [null]);
  const row = (from: number, to: number) => graph.node('Slice', [rows, graph.integers([from]), graph.integers([to])]);
  const end = graph.node('Add', [row(-1, 2 ** 31), graph.integers([1])]);
  return graph.node('Slice', [graph.loaded(probes), row(0, 1), end, graph.integers([0])]);
}

/** `[tokens, j, hidden]` → `[tokens, j]`. */
function sumOfSquares(graph: GraphBuilder, values: Value): Value {
  return graph.node('ReduceSumSquare', [values, graph.integers([2])], { keepdims: 0 });
}
