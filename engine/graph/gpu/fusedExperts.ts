import type { TensorEntry } from '../../checkpoint/types';
import type { FeedForwardSpec, LinearSpec, MoeBlockSpec } from '../../families/specification';
import type { GraphBuilder, Value } from '../graphBuilder';
import type { ExpertPrecision } from '../graphTarget';
import { bySlot, floatTypes, rangeTo, rowsOfSlots, slotsOf } from './expertRows';
import { stackedWeights } from './stackedWeights';

/** Logits of the chosen expert and of all others: a softmax gives exactly one and zero. */
const chosenLogit = 100;
const otherLogit = -100;

/** Largest expert matrix that fusing helps: larger ones fill a GPU by themselves, and are slower to set up. */
const largestFusedMatrix = 2 ** 24;

/** Whether the fused operator computes the experts of a block exactly as the family does, and gains by it. */
export function canFuse(block: MoeBlockSpec, precision: ExpertPrecision): boolean {
  const small = block.hiddenSize * block.intermediateSize <= largestFusedMatrix;
  return (
    small && precision !== 'bfloat16' && block.activation.kind === 'silu-gated' && block.experts.every(hasPlainWeights)
  );
}

/**
 * The fused operator as a plain set of experts: every slot is a token of its own with one active expert, whose gate is one.
 * The routing of the family stays outside, so it may be any. Parameters and result are those of `expertOutputs`.
 */
export function fusedExperts(
  graph: GraphBuilder,
  x: Value,
  block: MoeBlockSpec,
  experts: Value,
  inputGates: Value | undefined,
): Value {
  const { expert, count, k, scalarK } = slotsOf(graph, experts);
  const view = graph.inPrecision(floatTypes[graph.target.precision]);
  const rows = rowsOfSlots(view, x, rangeTo(graph, count), scalarK, inputGates);
  const everyExpert = graph.integers(block.experts.map((_, at) => at));
  const mine = graph.node('Equal', [graph.node('Unsqueeze', [expert, graph.integers([1])]), everyExpert]);
  const logits = view.node('Where', [mine, view.float(chosenLogit), view.float(otherLogit)]);
  const outputs = view.node(
    'MoE',
    [rows, logits, gateAndUp(view, block.experts), '', down(view, block.experts)],
    {
      k: 1,
      activation_type: 'swiglu',
      swiglu_fusion: 1,
      normalize_routing_weights: 1,
      activation_alpha: { float: 1 },
      activation_beta: { float: 0 },
    },
    { domain: 'com.microsoft' },
  );
  return graph.cast(bySlot(view, outputs, block, k), view);
}

/** `[experts, 2 · width, hidden]` with rows gate 0, up 0, gate 1, up 1 … */
function gateAndUp(graph: GraphBuilder, experts: readonly FeedForwardSpec[]): Value {
  const first = experts[0]!;
  const shape = (size: LinearSpec) => graph.integers([experts.length, size.outputSize, size.inputSize]);
  if (first.layout === 'fused-gated') {
    const { gateUp, arrangement } = first;
    const stacked = stackedWeights(graph, entriesOf(experts, 'gateUp'));
    if (arrangement === 'interleaved') {
      return stacked;
    }
    const halves = graph.integers([experts.length, 2, gateUp.outputSize / 2, gateUp.inputSize]);
    const apart = graph.node('Reshape', [stacked, halves]);
    return graph.node('Reshape', [graph.node('Transpose', [apart], { perm: [0, 2, 1, 3] }), shape(gateUp)]);
  }
  if (first.layout !== 'gated') {
    throw new RangeError(`fused experts of layout ${first.layout}`);
  }
  const { outputSize, inputSize } = first.gate;
  const rows = graph.integers([experts.length * outputSize, 1, inputSize]);
  const parts = (['gate', 'up'] as const).map((part) =>
    graph.node('Reshape', [stackedWeights(graph, entriesOf(experts, part)), rows]),
  );
  const both = graph.node('Concat', parts, { axis: 1 });
  return graph.node('Reshape', [both, graph.integers([experts.length, 2 * outputSize, inputSize])]);
}

function down(graph: GraphBuilder, experts: readonly FeedForwardSpec[]): Value {
  return stackedWeights(graph, entriesOf(experts, 'down'));
}

function linearsOf(network: FeedForwardSpec): Readonly<Record<string, LinearSpec>> {
  switch (network.layout) {
    case 'gated':
      return { gate: network.gate, up: network.up, down: network.down };
    case 'fused-gated':
      return { gateUp: network.gateUp, down: network.down };
    case 'ungated':
      return {};
  }
}

function hasPlainWeights(network: FeedForwardSpec): boolean {
  const linears = Object.values(linearsOf(network));
  return (
    linears.length > 0 &&
    linears.every(
      ({ weight, bias, orientation }) =>
        weight.storage === 'plain' && bias === undefined && orientation === 'output-major',
    )
  );
}

function entriesOf(experts: readonly FeedForwardSpec[], part: string): TensorEntry[] {
  return experts.map((network) => {
    const weight = linearsOf(network)[part]?.weight;
    if (weight?.storage !== 'plain') {
      throw new RangeError(`fused experts without plain weights: ${part}`);
    }
    return weight.entry;
  });
}
