import type { Dtype } from '../../checkpoint/types';
import type {
  ActivationSpec,
  FeedForwardSpec,
  LinearSpec,
  MoeBlockSpec,
  RouterSpec,
  WeightSource,
} from '../../families/specification';
import type { AttributeValue, GraphBuilder, Value } from '../graphBuilder';
import { router, routerLogits } from '../router';
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

interface StackedLinear {
  readonly weight: StackPart[];
  readonly bias: StackPart[];
}

/** Whether all experts of a block can be one operator with `k` active ones: what it computes is then exact. */
export function canFuseExperts(block: MoeBlockSpec, k: number): boolean {
  const { experts, router: routerSpec, activation } = block;
  if (swiglu(activation) === undefined || routingForm(routerSpec, k, experts.length) === undefined) {
    return false;
  }
  const shapes = new Set(experts.map((network) => networkShape(network)));
  return shapes.size === 1 && !shapes.has(undefined);
}

/** What must be the same for all experts of an operator; undefined where it does not take such a network. */
function networkShape(network: FeedForwardSpec): string | undefined {
  if (network.layout === 'ungated') {
    return undefined;
  }
  const maps = linearsOf(network);
  const parts = maps.map(({ weight, bias, inputSize, outputSize, orientation }) => {
    const dtype = plainDtype(weight);
    return dtype === undefined ? undefined : [dtype, bias?.dtype, inputSize, outputSize, orientation].join(' ');
  });
  const dtypes = new Set(maps.map(({ weight }) => plainDtype(weight)));
  return parts.includes(undefined) || dtypes.size > 1 ? undefined : [network.layout, ...parts].join(', ');
}

function linearsOf(network: FeedForwardSpec): LinearSpec[] {
  switch (network.layout) {
    case 'gated':
      return [network.gate, network.up, network.down];
    case 'fused-gated':
      return [network.gateUp, network.down];
    case 'ungated':
      return [network.up, network.down];
  }
}

const stackable: ReadonlySet<Dtype> = new Set(['F32', 'F16', 'BF16']);

function plainDtype(weight: WeightSource): Dtype | undefined {
  return weight.storage === 'plain' && stackable.has(weight.entry.dtype) ? weight.entry.dtype : undefined;
}

/**
 * The routed experts of a block as one `MoE` operator (com.microsoft) with its own `k`: `x [tokens, hidden]` → the gated sum,
 * `[tokens, hidden]`. Only for blocks that {@link canFuseExperts} accepts.
 */
export function fusedExperts(
  graph: GraphBuilder,
  x: Value,
  block: MoeBlockSpec,
  k: number,
  { stacks, outer }: StackedWeights,
): Value {
  const form = routingForm(block.router, k, block.experts.length)!;
  const routed = form.kind === 'operator' ? operatorRouting(graph, x, block) : gateRouting(graph, x, block, k);
  const first = block.experts.map((network) => firstLayer(network));
  const second = block.experts.map((network) => secondLayer(network));
  const weights = (name: string, linears: readonly StackedLinear[], rows: number, columns: number) => {
    const stacked = stacks.add(
      `layers.${block.layer}.moe.${name}.weight`,
      linears.flatMap(({ weight }) => weight),
      [linears.length, rows, columns],
    );
    const bias = linears.flatMap((each) => each.bias);
    return [
      outer.derived(`stacked ${stacked.name}`, () => outer.weight(stacked)),
      bias.length === 0
        ? ''
        : graph.weight(stacks.add(`layers.${block.layer}.moe.${name}.bias`, bias, [linears.length, rows])),
    ] as const;
  };
  const { hiddenSize, intermediateSize } = block;
  const inputs = [
    routed.input,
    routed.logits,
    ...weights('fc1', first, 2 * intermediateSize, hiddenSize),
    ...weights('fc2', second, hiddenSize, intermediateSize),
  ];
  const sum = graph.node(
    'MoE',
    inputs,
    {
      k: block.router.sparseMixer === undefined ? k : sparseMixerExperts,
      normalize_routing_weights: form.kind === 'operator' && !form.normalized ? 0 : 1,
      ...swiglu(block.activation)!,
    },
    { domain: 'com.microsoft' },
  );
  return routed.total === undefined ? sum : graph.node('Mul', [sum, routed.total]);
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

/** Rows of gate and up by turns, as the operator reads them. */
function firstLayer(network: FeedForwardSpec): StackedLinear {
  if (network.layout === 'gated') {
    const { gate, up } = network;
    return {
      weight: [{ kind: 'alternate', first: matrix(gate), second: matrix(up) }],
      bias:
        gate.bias === undefined || up.bias === undefined
          ? []
          : [{ kind: 'alternate', first: vector(gate), second: vector(up) }],
    };
  }
  if (network.layout === 'ungated') {
    throw new RangeError('a network without a gate has no fused first layer');
  }
  const { gateUp, arrangement } = network;
  const kind = arrangement === 'interleaved' ? 'rows' : 'halves';
  return {
    weight: [{ kind, matrix: matrix(gateUp) }],
    bias: gateUp.bias === undefined ? [] : [{ kind, matrix: vector(gateUp) }],
  };
}

function secondLayer({ down }: FeedForwardSpec): StackedLinear {
  return {
    weight: [{ kind: 'rows', matrix: matrix(down) }],
    bias: down.bias === undefined ? [] : [{ kind: 'rows', matrix: vector(down) }],
  };
}

function matrix({ weight, orientation, inputSize, outputSize }: LinearSpec) {
  if (weight.storage !== 'plain') {
    throw new RangeError('only plain weights are stacked');
  }
  return { entry: weight.entry, rows: outputSize, columns: inputSize, transposed: orientation === 'input-major' };
}

function vector({ bias, outputSize }: LinearSpec) {
  return { entry: bias!, rows: outputSize, columns: 1, transposed: false };
}
