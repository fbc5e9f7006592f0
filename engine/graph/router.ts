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
  /** Scores the choice was made on and the raw logits, `[tokens, experts]`. */
  readonly logits: Value;
}

/**
 * The one router implementation of the engine: logits, score, choice, gates, exactly in the family's order.
 * `x` is `[tokens, hidden]`, `k` an int64 `[1]` value (an input or a constant).
 */
export function router(graph: GraphBuilder, x: Value, spec: RouterSpec, expertCount: number, k: Value): Routing {
  const logits = routerLogits(graph, x, spec);
  if (spec.sparseMixer !== undefined) {
    return sparseMixer(graph, logits, spec.sparseMixer.threshold, expertCount);
  }
  const score = routerScore(graph, logits, spec.score);
  const biased =
    spec.selectionBias === undefined
      ? score
      : graph.node('Add', [score, keptPart(graph, flatWeight(graph, spec.selectionBias), spec)]);
  const choice = spec.groups === undefined ? biased : keepBestGroups(graph, biased, spec.groups, expertCount);
  const [, experts] = graph.split('TopK', [choice, k], { axis: -1, largest: 1, sorted: 1 }, 2) as [Value, Value];
  const chosen = graph.node('GatherElements', [score, experts], { axis: 1 });
  const gates = (count?: number) => {
    const used = count === undefined ? chosen : firstColumns(graph, chosen, count);
    const ruled = applyGateRule(graph, used, spec.gates);
    return spec.scale === 1 ? ruled : graph.node('Mul', [ruled, graph.float(spec.scale)]);
  };
  return { experts, gates, logits };
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

function firstColumns(graph: GraphBuilder, values: Value, count: number): Value {
  return graph.node('Slice', [values, graph.integers([0]), graph.integers([count]), graph.integers([1])]);
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
