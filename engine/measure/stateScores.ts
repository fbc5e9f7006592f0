import type { ModelSpec } from '../families/specification';
import { scoreNames } from '../graph/modelEndsGraph';
import type { AllocationQuality, WindowScores } from '../protocol/budget';
import { floats, integers, type RuntimeSession } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import { gatherRows, predictedRows, type PredictedRow, type ScoredPositions } from './predictedRows';
import type { SequenceBatch } from './sequenceBatches';

/** Log-probabilities (float32) that one scoring step may hold per model. */
const scoresPerStep = 2 ** 24;
const stepDeadlineSeconds = 300;

/** A token counts as sure when the model as trained gives it at least this probability. */
const sureProbability = 0.9;

export interface StateScoreRequest {
  readonly model: ModelSpec;
  readonly batches: readonly SequenceBatch[];
  readonly sequences: readonly Int32Array[];
  readonly job: JobContext;
  /** The scoring graph with both models. */
  readonly score: RuntimeSession;
  /** States after the last layer of a batch, `[count, time, hidden]`. */
  readonly baseline: (batch: number) => Promise<Float32Array>;
  readonly changed: (batch: number) => Promise<Float32Array>;
  /** Which predicted positions of every sequence count; all by default. */
  readonly scored?: readonly ScoredPositions[] | undefined;
}

/** Scores the last hidden states of a changed model against those of the model as trained, sequence by sequence. */
export async function scoreWindows(request: StateScoreRequest): Promise<WindowScores> {
  const { model, batches, sequences } = request;
  const rowsPerStep = Math.max(1, Math.floor(scoresPerStep / model.vocabularySize));
  const column = () => sequences.map(() => 0);
  const scores = { tokens: column(), kl: column(), loss: column(), correct: column(), lost: column() };
  for (const [at, batch] of batches.entries()) {
    const baseline = await request.baseline(at);
    const changed = await request.changed(at);
    const rows = predictedRows(batch, sequences, request.scored);
    for (let first = 0; first < rows.length; first += rowsPerStep) {
      await scoreRows(request, rows.slice(first, first + rowsPerStep), baseline, changed, scores);
    }
  }
  return scores;
}

/** Means over all scored tokens. */
export function qualityOf({ tokens, kl, loss, correct }: WindowScores): AllocationQuality {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const count = sum(tokens);
  return { kl: Math.max(0, sum(kl) / count), logPerplexity: sum(loss) / count, accuracy: sum(correct) / count };
}

async function scoreRows(
  { model, sequences, job, score }: StateScoreRequest,
  rows: readonly PredictedRow[],
  baseline: Float32Array,
  changed: Float32Array,
  scores: WindowScores,
): Promise<void> {
  const targets = BigInt64Array.from(rows, ({ source, position }) => BigInt(sequences[source]![position + 1]!));
  const hidden = (values: Float32Array) => ({
    type: 'float32' as const,
    data: gatherRows(values, rows, model.hiddenSize),
    shape: [rows.length, model.hiddenSize],
  });
  const results = await step(job, 'scoring', stepDeadlineSeconds, () =>
    score.run(
      {
        [scoreNames.baseline]: hidden(baseline),
        [scoreNames.changed]: hidden(changed),
        [scoreNames.targets]: { type: 'int64', data: targets, shape: [rows.length] },
      },
      [scoreNames.divergence, scoreNames.baselineLoss, scoreNames.changedLoss, scoreNames.changedBest],
    ),
  );
  const divergence = floats(results, scoreNames.divergence);
  const trainedLoss = floats(results, scoreNames.baselineLoss);
  const loss = floats(results, scoreNames.changedLoss);
  const best = integers(results, scoreNames.changedBest);
  const sureLoss = -Math.log(sureProbability);
  rows.forEach(({ source }, row) => {
    const right = best[row] === targets[row];
    scores.tokens[source]! += 1;
    scores.kl[source]! += divergence[row]!;
    scores.loss[source]! += loss[row]!;
    scores.correct[source]! += Number(right);
    scores.lost[source]! += Number(!right && trainedLoss[row]! <= sureLoss);
  });
}
