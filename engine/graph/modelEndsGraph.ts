import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { ModelSpec } from '../families/specification';
import { GraphBuilder, type Value } from './graphBuilder';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { linear } from './linear';
import { norm } from './norm';

export const embeddingNames = { ids: 'ids', hidden: 'hidden' } as const;
export const headNames = { hidden: 'hidden', logits: 'logits' } as const;
export const scoreNames = {
  baseline: 'baseline',
  changed: 'changed',
  targets: 'targets',
  baselineLoss: 'baseline_loss',
  baselineBest: 'baseline_best',
  changedLoss: 'changed_loss',
  changedBest: 'changed_best',
  divergence: 'divergence',
} as const;

/** Token embedding: `ids` int64 `[batch, time]` → `hidden [batch, time, hidden]`. */
export function embeddingGraph(model: ModelSpec, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const ids = graph.input(embeddingNames.ids, DataType.INT64, [null, null]);
  const rows = graph.node('Gather', [graph.stored(model.embedding), ids], { axis: 0 });
  const cast = graph.node('Cast', [rows], { to: DataType.FLOAT });
  const hidden =
    model.embeddingMultiplier === 1 ? cast : graph.node('Mul', [cast, graph.float(model.embeddingMultiplier)]);
  graph.output(embeddingNames.hidden, hidden, DataType.FLOAT, [null, null, model.hiddenSize]);
  return graph.build('embedding');
}

/** Final norm and language-model head: `hidden [rows, hidden]` → `logits [rows, vocabulary]`. */
export function headGraph(model: ModelSpec, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const hidden = graph.input(headNames.hidden, DataType.FLOAT, [null, model.hiddenSize]);
  graph.output(headNames.logits, logits(graph, hidden, model), DataType.FLOAT, [null, model.vocabularySize]);
  return graph.build('head');
}

/**
 * Scores predicted tokens without the logits leaving the graph: cross-entropy (nats) and arg-max per row, and with
 * `compare` the same for a changed model plus KL(baseline || changed) per row.
 */
export function scoreGraph(model: ModelSpec, compare: boolean, target: GraphTarget = cpuTarget): Uint8Array {
  const graph = new GraphBuilder(target);
  const targets = graph.input(scoreNames.targets, DataType.INT64, [null]);
  const column = graph.node('Unsqueeze', [targets, graph.integers([1])]);
  const score = (inputName: string, lossName: string, bestName: string) => {
    const hidden = graph.input(inputName, DataType.FLOAT, [null, model.hiddenSize]);
    const values = logits(graph, hidden, model);
    const logProbabilities = graph.node('LogSoftmax', [values], { axis: -1 });
    const chosen = graph.node('GatherElements', [logProbabilities, column], { axis: 1 });
    graph.output(lossName, graph.node('Neg', [graph.node('Squeeze', [chosen, graph.integers([1])])]), DataType.FLOAT, [
      null,
    ]);
    graph.output(bestName, graph.node('ArgMax', [values], { axis: 1, keepdims: 0 }), DataType.INT64, [null]);
    return logProbabilities;
  };
  const baseline = score(scoreNames.baseline, scoreNames.baselineLoss, scoreNames.baselineBest);
  if (compare) {
    const changed = score(scoreNames.changed, scoreNames.changedLoss, scoreNames.changedBest);
    const ratio = graph.node('Sub', [baseline, changed]);
    const terms = graph.node('Mul', [graph.node('Exp', [baseline]), ratio]);
    const divergence = graph.node('ReduceSum', [terms, graph.integers([1])], { keepdims: 0 });
    graph.output(scoreNames.divergence, divergence, DataType.FLOAT, [null]);
  }
  return graph.build('score');
}

/** Final norm, head and the family's treatment of logits: `hidden [rows, hidden]` → `[rows, vocabulary]`. */
export function logits(graph: GraphBuilder, hidden: Value, model: ModelSpec): Value {
  const normalised = norm(graph, hidden, model.finalNorm, model.hiddenSize);
  const raw = linear(graph, normalised, model.head);
  const scaled = model.logitMultiplier === 1 ? raw : graph.node('Mul', [raw, graph.float(model.logitMultiplier)]);
  if (model.logitSoftcap === undefined) {
    return scaled;
  }
  const capped = graph.node('Tanh', [graph.node('Div', [scaled, graph.float(model.logitSoftcap)])]);
  return graph.node('Mul', [capped, graph.float(model.logitSoftcap)]);
}
