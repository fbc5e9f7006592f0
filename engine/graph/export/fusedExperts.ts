import type { ActivationSpec, MoeBlockSpec, RouterSpec } from '../../families/specification';
import type { AttributeValue, GraphBuilder, Value } from '../graphBuilder';
import { router, routerLogits } from '../router';
import { codeFormat, firstLayer, secondLayer, stackedShape, type StackedLinear } from './stackedExperts';
import type { StackedTensors, StackPart } from './stackedTensors';

/** Gates smaller than this count as zero: their logarithm must exist. */
const smallestGate = 1e-30;
/** Logit of experts that were not chosen; its exponential is zero. */
const notChosen = -1e9;

/** The sparse mixer takes as many experts whatever k is. */
const sparseMixerExperts = 2;

/** Attributes of the gated activations that the operator computes; it clips where a limit is given. */
function swiglu(activation: ActivationSpec): Readonly<Record<string, AttributeValue>> | undefined {
  const attributes = (alpha: number, beta: number, limit?: number) => ({
    activation_type: 'swiglu',
    swiglu_fusion: 1,
    activation_alpha: { float: alpha },
    activation_beta: { float: beta },
    ...(limit === undefined ? {} : { swiglu_limit: { float: limit } }),
  });
  switch (activation.kind) {
    case 'silu-gated':
      return attributes(1, 0);
    case 'clamped-swiglu':
      return attributes(activation.alpha, 1, activation.limit);
    case 'silu-gated-clipped':
      return attributes(1, 0, activation.limit);
    case 'silu-gated-limited':
    case 'gelu-gated':
    case 'relu-gated':
    case 'relu-squared':
      return undefined;
  }
}

/** How the operator gets the routing decision. */
type RoutingForm =
  /** It takes the raw logits and chooses itself. */
  | { readonly kind: 'operator'; readonly normalized: boolean }
  /** It takes logarithms of finished gates, the others far below; its softmax gives the gates back, divided by their sum. */
  | { readonly kind: 'gates' };

function routingForm(spec: RouterSpec, k: number, experts: number): RoutingForm | undefined {
  const own = [spec.selectionBias, spec.groups, spec.sparseMixer, spec.gateReference];
  const plain = own.every((rule) => rule === undefined);
  if (spec.apply === 'input') {
    return k === 1 ? { kind: 'gates' } : undefined;
  }
  if (plain && spec.scale === 1) {
    const { gates, score } = spec;
    if (score === 'logits' && gates.kind === 'softmax-chosen') {
      return { kind: 'operator', normalized: true };
    }
    if (score === 'softmax' && gates.kind === 'score') {
      return { kind: 'operator', normalized: false };
    }
    // The k best of E softmax scores sum to k / E at least.
    const exact =
      (gates.kind === 'sum' && gates.epsilon <= 1e-9) || (gates.kind === 'clamped-sum' && gates.minimum <= k / experts);
    if (score === 'softmax' && exact) {
      return { kind: 'operator', normalized: true };
    }
  }
  // Logarithms exist for positive gates only.
  const positive = spec.sparseMixer !== undefined || spec.score !== 'logits' || spec.gates.kind.endsWith('-chosen');
  return positive ? { kind: 'gates' } : undefined;
}

/** Where an operator takes its stacked weights from. */
export interface StackedWeights {
  readonly stacks: StackedTensors;
  /** The graph around all branches: weights are converted there, once. */
  readonly outer: GraphBuilder;
}

/** Whether all experts of a block can be one operator with `k` active ones: what it computes is then exact. */
export function canFuseExperts(block: MoeBlockSpec, k: number): boolean {
  const { experts, router: routerSpec, activation } = block;
  if (swiglu(activation) === undefined || routingForm(routerSpec, k, experts.length) === undefined) {
    return false;
  }
  const shapes = new Set(experts.map(stackedShape));
  return shapes.size === 1 && !shapes.has(undefined);
}

/**
 * The routed experts of a block as one operator with its own `k`, `MoE` or, where the weights are codes, `QMoE` (com.microsoft):
 * `x [tokens, hidden]` → the gated sum, `[tokens, hidden]`. Only for blocks that {@link canFuseExperts} accepts.
 */
export function fusedExperts(
  graph: GraphBuilder,
  x: Value,
  block: MoeBlockSpec,
  k: number,
  weights: StackedWeights,
): Value {
  const codes = codeFormat(block.experts[0]!.down.weight);
  const own = routingForm(block.router, k, block.experts.length)!;
  // QMoE always divides gates by their sum.
  const form: RoutingForm = codes !== undefined && own.kind === 'operator' && !own.normalized ? { kind: 'gates' } : own;
  const routed = form.kind === 'operator' ? operatorRouting(graph, x, block) : gateRouting(graph, x, block, k);
  const first = stackedLayer(graph, block, 'fc1', block.experts.map(firstLayer), weights);
  const second = stackedLayer(graph, block, 'fc2', block.experts.map(secondLayer), weights);
  // Between them lie a third layer, which gated networks do not have here.
  const zeroPoints =
    first.zeroPoints === undefined || second.zeroPoints === undefined
      ? []
      : ['', '', '', first.zeroPoints, second.zeroPoints];
  const sum = graph.node(
    codes === undefined ? 'MoE' : 'QMoE',
    [routed.input, routed.logits, ...first.inputs, ...second.inputs, ...zeroPoints],
    {
      k: block.router.sparseMixer === undefined ? k : sparseMixerExperts,
      normalize_routing_weights: form.kind === 'operator' && !form.normalized ? 0 : 1,
      ...swiglu(block.activation)!,
      ...(codes === undefined ? {} : { expert_weight_bits: codes.bits, block_size: codes.group }),
    },
    { domain: 'com.microsoft' },
  );
  return routed.total === undefined ? sum : graph.node('Mul', [sum, routed.total]);
}

/** Inputs of an operator for one layer of all experts: weights, scales where they are codes, biases or an empty name; zero points. */
function stackedLayer(
  graph: GraphBuilder,
  block: MoeBlockSpec,
  name: 'fc1' | 'fc2',
  layers: readonly StackedLinear[],
  { stacks, outer }: StackedWeights,
): { readonly inputs: readonly Value[]; readonly zeroPoints: Value | undefined } {
  const rows = name === 'fc1' ? 2 * block.intermediateSize : block.hiddenSize;
  const stacked = (what: string, parts: readonly StackPart[], shape: readonly number[]) =>
    stacks.add(`layers.${block.layer}.moe.${name}.${what}`, parts, [block.experts.length, rows, ...shape]);
  const part = (what: 'weight' | 'scales' | 'zeroPoints' | 'bias') => layers.flatMap((each) => each[what]);
  const columns = (parts: readonly StackPart[]) => {
    const [first] = parts;
    return (first!.kind === 'alternate' ? first!.first : first!.matrix).columns;
  };
  const [weight, scales, points, bias] = [part('weight'), part('scales'), part('zeroPoints'), part('bias')];
  const values = stacked('weight', weight, [columns(weight)]);
  const biases = bias.length === 0 ? '' : graph.weight(stacked('bias', bias, []));
  if (scales.length === 0) {
    const converted = outer.derived(`stacked ${values.name}`, () => outer.weight(values));
    return { inputs: [converted, biases], zeroPoints: undefined };
  }
  const zeroPoints = points.length === 0 ? undefined : graph.stored(stacked('zero_points', points, [columns(points)]));
  return {
    inputs: [graph.stored(values), graph.weight(stacked('scales', scales, [columns(scales)])), biases],
    zeroPoints,
  };
}

interface OperatorInputs {
  readonly input: Value;
  readonly logits: Value;
  /** `[tokens, 1]`: multiplies the result. */
  readonly total?: Value;
}

function operatorRouting(graph: GraphBuilder, x: Value, block: MoeBlockSpec): OperatorInputs {
  return { input: x, logits: routerLogits(graph, x, block.router) };
}

function gateRouting(graph: GraphBuilder, x: Value, block: MoeBlockSpec, k: number): OperatorInputs {
  const routing = router(graph, x, block.router, block.experts.length, graph.integers([k]));
  const gates = routing.gates();
  const logarithms = graph.node('Log', [graph.node('Max', [gates, graph.float(smallestGate)])]);
  const shape = graph.node('Shape', [routing.logits]);
  const none = graph.node('Expand', [graph.float(notChosen), shape]);
  const logits = graph.node('ScatterElements', [none, routing.experts, logarithms], { axis: 1 });
  if (block.router.apply === 'input') {
    return { input: graph.node('Mul', [x, gates]), logits };
  }
  const total = graph.node('ReduceSum', [gates, graph.integers([1])], { keepdims: 1 });
  return { input: x, logits, total };
}
