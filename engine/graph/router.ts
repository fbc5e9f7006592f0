import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { TensorEntry } from '../checkpoint/types';
import type { GateRule, RouterSpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';
import { sparseMixer } from './sparseMixer';
import { decodeWeight } from './weights';

/** What the router decides for every token, ranked by the model's own selection rule. */
export interface Routing {
  /** Chosen experts, int64 `[tokens, k]`, best first. */
  readonly experts: Value;
  /**
   * Gates `[tokens, j]` of the first `count` ranks as if the model ran with that many active experts.
   * Without a count: with all chosen ones.
   */
  gates(count?: number): Value;
  /**
   * Gates `[tokens, ranks]` as if the experts at these ranks (ascending) had been the chosen ones: what the model does without the
   * others. Without ranks: of all experts that were ranked.
   */
  gatesOf(ranks?: readonly number[]): Value;
  /** Raw logits, `[tokens, experts]`. */
  readonly logits: Value;
  /** Scores that gates are made of, `[tokens, experts]`: without selection bias and groups. */
  readonly scores: Value;
}

/**
 * The one router implementation of the engine: logits, score, choice, gates, exactly in the family's order.
 * `x` is `[tokens, hidden]`, `k` an int64 `[1]` value (an input or a constant).
 * @param refill ranks one more expert, which would take the place of one that is removed: `experts` is `[tokens, k + 1]`
 */
export function router(
  graph: GraphBuilder,
  x: Value,
  spec: RouterSpec,
  expertCount: number,
  k: Value,
  refill = false,
): Routing {
  const logits = routerLogits(graph, x, spec);
  if (spec.sparseMixer !== undefined) {
    return sparseMixer(graph, logits, spec.sparseMixer.threshold, expertCount, refill);
  }
  const score = routerScore(graph, logits, spec.score);
  const biased =
    spec.selectionBias === undefined
      ? score
      : graph.node('Add', [score, keptPart(graph, flatWeight(graph, spec.selectionBias), spec)]);
  const choice = spec.groups === undefined ? biased : keepBestGroups(graph, biased, spec.groups, expertCount);
  const reference = spec.gateReference;
  const wanted = refill ? graph.node('Add', [k, graph.integers([1])]) : k;
  const ranks = reference === undefined ? wanted : graph.node('Max', [wanted, graph.integers([reference])]);
  const [, ranked] = graph.split('TopK', [choice, ranks], { axis: -1, largest: 1, sorted: 1 }, 2) as [Value, Value];
  const experts = reference === undefined ? ranked : firstColumns(graph, ranked, wanted);
  const chosen = graph.node('GatherElements', [score, ranked], { axis: 1 });
  const gates = (count?: number) => {
    const active = count === undefined ? k : graph.integers([count]);
    const seen =
      reference !== undefined
        ? firstColumns(graph, chosen, graph.node('Max', [active, graph.integers([reference])]))
        : count === undefined && !refill
          ? chosen
          : firstColumns(graph, chosen, active);
    const ruled = applyGateRule(graph, seen, spec.gates);
    const kept = reference === undefined ? ruled : firstColumns(graph, ruled, active);
    return spec.scale === 1 ? kept : graph.node('Mul', [kept, graph.float(spec.scale)]);
  };
  const gatesOf = (columns?: readonly number[]) => {
    if (reference !== undefined) {
      throw new RangeError(
        'gates of other ranks are not defined where a plan fixes the mass that gates are divided by',
      );
    }
    const seen = columns === undefined ? chosen : graph.node('Gather', [chosen, graph.integers(columns)], { axis: 1 });
    const ruled = applyGateRule(graph, seen, spec.gates);
    return spec.scale === 1 ? ruled : graph.node('Mul', [ruled, graph.float(spec.scale)]);
  };
  return { experts, gates, gatesOf, logits, scores: score };
}

/** Raw router logits `[tokens, experts]`, soft-capped where the family does so. */
export function routerLogits(graph: GraphBuilder, x: Value, spec: RouterSpec): Value {
  const inputs = [x, keptPart(graph, decodeWeight(graph, spec.weight), spec)];
  const bias = spec.bias === undefined ? [] : [keptPart(graph, flatWeight(graph, spec.bias), spec)];
  const logits = graph.node('Gemm', [...inputs, ...bias], { transB: 1 });
  if (spec.softcap === undefined) {
    return logits;
  }
  const scaled = graph.node('Tanh', [graph.node('Div', [logits, graph.float(spec.softcap)])]);
  return graph.node('Mul', [scaled, graph.float(spec.softcap)]);
}

/** A vector, whatever dimensions of size one it is stored with. */
function flatWeight(graph: GraphBuilder, entry: TensorEntry): Value {
  return graph.weight(entry, [entry.shape.reduce((product, size) => product * size, 1)]);
}

/** The rows that pruning left. */
function keptPart(graph: GraphBuilder, values: Value, { keptRows }: RouterSpec): Value {
  return keptRows === undefined ? values : graph.node('Gather', [values, graph.integers(keptRows)], { axis: 0 });
}

function routerScore(graph: GraphBuilder, logits: Value, score: RouterSpec['score']): Value {
  switch (score) {
    case 'softmax':
      return graph.node('Softmax', [logits], { axis: -1 });
    case 'sigmoid':
      return graph.node('Sigmoid', [logits]);
    case 'sqrt-softplus':
      return graph.node('Sqrt', [graph.node('Softplus', [logits])]);
    case 'logits':
      return logits;
  }
}

/** Keeps the experts of the best groups and fills the others, as group-limited routers do (DeepSeek-V2/V3). */
function keepBestGroups(
  graph: GraphBuilder,
  scores: Value,
  groups: NonNullable<RouterSpec['groups']>,
  expertCount: number,
): Value {
  const size = expertCount / groups.count;
  const grouped = graph.node('Reshape', [scores, graph.integers([-1, groups.count, size])]);
  const best = groups.score === 'max' ? 1 : 2;
  const [top] = graph.split('TopK', [grouped, graph.integers([best])], { axis: -1, largest: 1, sorted: 1 }, 2);
  const groupScore = graph.node('ReduceSum', [top!, graph.integers([2])], { keepdims: 0 });
  const [, kept] = graph.split('TopK', [groupScore, graph.integers([groups.kept])], { axis: -1 }, 2) as [Value, Value];
  const mask = graph.node('ScatterElements', [graph.filled(groupScore, 0), kept, graph.filled(kept, 1)], { axis: 1 });
  const isKept = graph.node('Cast', [graph.node('Unsqueeze', [mask, graph.integers([2])])], { to: DataType.BOOL });
  const fill = groups.fill === 'zero' ? 0 : -Infinity;
  const filled = graph.node('Where', [isKept, grouped, graph.float(fill)]);
  return graph.node('Reshape', [filled, graph.integers([-1, expertCount])]);
}

/** @param count int64 `[1]` */
function firstColumns(graph: GraphBuilder, values: Value, count: Value): Value {
  return graph.node('Slice', [values, graph.integers([0]), count, graph.integers([1])]);
}

function applyGateRule(graph: GraphBuilder, chosen: Value, rule: GateRule): Value {
  const total = () => graph.node('ReduceSum', [chosen, graph.integers([1])], { keepdims: 1 });
  switch (rule.kind) {
    case 'score':
      return chosen;
    case 'sum':
      return graph.node('Div', [
        chosen,
        rule.epsilon === 0 ? total() : graph.node('Add', [total(), graph.float(rule.epsilon)]),
      ]);
    case 'clamped-sum':
      return graph.node('Div', [chosen, graph.node('Max', [total(), graph.float(rule.minimum)])]);
    case 'p-norm': {
      const powers = graph.node('Pow', [graph.node('Abs', [chosen]), graph.float(rule.p)]);
      const sum = graph.node('ReduceSum', [powers, graph.integers([1])], { keepdims: 1 });
      return graph.node('Div', [chosen, graph.node('Pow', [sum, graph.float(1 / rule.p)])]);
    }
    case 'softmax-chosen':
      return graph.node('Softmax', [chosen], { axis: -1 });
    case 'sigmoid-chosen': {
      const gates = graph.node('Sigmoid', [chosen]);
      return rule.divided
        ? graph.node('Div', [gates, graph.node('ReduceSum', [gates, graph.integers([1])], { keepdims: 1 })])
        : gates;
    }
  }
}
