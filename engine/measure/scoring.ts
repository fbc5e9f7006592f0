import type { ModelSpec } from '../families/specification';
import { scoreGraph, scoreNames } from '../graph/modelEndsGraph';
import { openGraph } from '../runtime/openGraph';
import { floats, integers, type RuntimeOptions } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import type { LayerWalkResult } from './layerWalk';
import { allFinite, explainNonFinite } from './nonFinite';
import { gatherRows, predictedRows, type PredictedRow } from './predictedRows';
import type { SequenceBatch } from './sequenceBatches';

/** Log-probabilities (float32) that one scoring step may hold per model. */
const scoresPerStep = 2 ** 24;
const stepDeadlineSeconds = 300;

/** Scores of the predicted tokens of one sequence; position p of a sequence predicts token p + 1. */
export interface SequenceScores {
  /** Cross-entropy in nats and whether the arg-max is the token, per predicted token. */
  readonly loss: Float32Array;
  readonly correct: Uint8Array;
  /** Only with a changed model: the same, KL(baseline || changed) in nats and arg-max agreement. */
  readonly changed?: {
    readonly loss: Float32Array;
    readonly correct: Uint8Array;
    readonly divergence: Float32Array;
    readonly agrees: Uint8Array;
  };
}

export interface ScoreRequest {
  readonly model: ModelSpec;
  readonly runtime: RuntimeOptions;
  readonly batches: readonly SequenceBatch[];
  readonly sequences: readonly Int32Array[];
  readonly walk: LayerWalkResult;
  /** Score variant 1 against variant 0. */
  readonly compare: boolean;
  readonly job: JobContext;
}

/** Scores every sequence after a walk. Logits never leave the graph; results are in the order of `sequences`. */
export async function scoreSequences(request: ScoreRequest): Promise<SequenceScores[]> {
  const { model, batches, sequences, walk, compare, job } = request;
  const session = await openGraph((target) => scoreGraph(model, compare, target), request.runtime, {
    batched: [scoreNames.baseline, scoreNames.targets, ...(compare ? [scoreNames.changed] : [])],
  });
  const rowsPerStep = Math.max(1, Math.floor(scoresPerStep / model.vocabularySize));
  const scores: SequenceScores[] = sequences.map(({ length }) => emptyScores(Math.max(0, length - 1), compare));
  try {
    for (const [at, batch] of batches.entries()) {
      const states = await Promise.all((compare ? [0, 1] : [0]).map((variant) => walk.hidden(variant, at)));
      const rows = predictedRows(batch, sequences);
      for (let start = 0; start < rows.length; start += rowsPerStep) {
        const part = rows.slice(start, start + rowsPerStep);
        const targets = BigInt64Array.from(part, ({ source, position }) => BigInt(sequences[source]![position + 1]!));
        const gather = (hidden: Float32Array) => ({
          type: 'float32' as const,
          data: gatherRows(hidden, part, model.hiddenSize),
          shape: [part.length, model.hiddenSize],
        });
        const results = await step(job, 'scoring', stepDeadlineSeconds, () =>
          session.run({
            [scoreNames.baseline]: gather(states[0]!),
            [scoreNames.targets]: { type: 'int64', data: targets, shape: [part.length] },
            ...(compare ? { [scoreNames.changed]: gather(states[1]!) } : {}),
          }),
        );
        const loss = floats(results, scoreNames.baselineLoss);
        if (!allFinite(loss)) {
          await explainNonFinite([model.finalNorm, model.head], model.layers.length);
        }
        record(scores, part, targets, {
          loss,
          best: integers(results, scoreNames.baselineBest),
          ...(compare
            ? {
                changedLoss: floats(results, scoreNames.changedLoss),
                changedBest: integers(results, scoreNames.changedBest),
                divergence: floats(results, scoreNames.divergence),
              }
            : {}),
        });
      }
    }
    return scores;
  } finally {
    await session.dispose();
  }
}

function emptyScores(length: number, compare: boolean): SequenceScores {
  const base = { loss: new Float32Array(length), correct: new Uint8Array(length) };
  return compare
    ? {
        ...base,
        changed: {
          loss: new Float32Array(length),
          correct: new Uint8Array(length),
          divergence: new Float32Array(length),
          agrees: new Uint8Array(length),
        },
      }
    : base;
}

interface StepScores {
  readonly loss: Float32Array;
  readonly best: BigInt64Array;
  readonly changedLoss?: Float32Array;
  readonly changedBest?: BigInt64Array;
  readonly divergence?: Float32Array;
}

function record(
  scores: readonly SequenceScores[],
  rows: readonly PredictedRow[],
  targets: BigInt64Array,
  values: StepScores,
): void {
  rows.forEach(({ source, position }, at) => {
    const score = scores[source]!;
    score.loss[position] = values.loss[at]!;
    score.correct[position] = Number(values.best[at] === targets[at]);
    if (score.changed !== undefined && values.changedBest !== undefined) {
      score.changed.loss[position] = values.changedLoss![at]!;
      score.changed.correct[position] = Number(values.changedBest[at] === targets[at]);
      score.changed.divergence[position] = values.divergence![at]!;
      score.changed.agrees[position] = Number(values.changedBest[at] === values.best[at]);
    }
  });
}
