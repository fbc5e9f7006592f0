import type { ModelSpec } from '../families/specification';
import { scoreNames } from '../graph/modelEndsGraph';
import { floats, integers, type RuntimeSession } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import { gatherRows, predictedRows, type PredictedRow } from './predictedRows';
import type { SequenceBatch } from './sequenceBatches';

/** Log-probabilities (float32) that one scoring step may hold per model. */
const scoresPerStep = 2 ** 24;
const stepDeadlineSeconds = 300;

/** How a changed model does on the calibration tokens, against the model as trained. */
export interface AllocationQuality {
  /** Mean KL(full model || changed model) per predicted token, in nats. */
  readonly kl: number;
  /** Mean cross-entropy per predicted token, in nats. */
  readonly logPerplexity: number;
  /** Share of predicted tokens whose arg-max is right. */
  readonly accuracy: number;
}

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
}

/** Scores the last hidden states of a changed model against those of the model as trained, over all predicted tokens. */
export async function scoreStates(request: StateScoreRequest): Promise<AllocationQuality> {
  const { model, batches, sequences } = request;
  const rowsPerStep = Math.max(1, Math.floor(scoresPerStep / model.vocabularySize));
  const totals = { kl: 0, loss: 0, correct: 0, tokens: 0 };
  for (const [at, batch] of batches.entries()) {
    const baseline = await request.baseline(at);
    const changed = await request.changed(at);
    const rows = predictedRows(batch, sequences);
    for (let first = 0; first < rows.length; first += rowsPerStep) {
      await scoreRows(request, rows.slice(first, first + rowsPerStep), baseline, changed, totals);
    }
  }
  const { kl, loss, correct, tokens } = totals;
  return { kl: Math.max(0, kl / tokens), logPerplexity: loss / tokens, accuracy: correct / tokens };
}

async function scoreRows(
  { model, sequences, job, score }: StateScoreRequest,
  rows: readonly PredictedRow[],
  baseline: Float32Array,
  changed: Float32Array,
  totals: { kl: number; loss: number; correct: number; tokens: number },
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
      [scoreNames.divergence, scoreNames.changedLoss, scoreNames.changedBest],
    ),
  );
  const divergence = floats(results, scoreNames.divergence);
  const loss = floats(results, scoreNames.changedLoss);
  const best = integers(results, scoreNames.changedBest);
  for (let row = 0; row < rows.length; row += 1) {
    totals.kl += divergence[row]!;
    totals.loss += loss[row]!;
    totals.correct += Number(best[row] === targets[row]);
  }
  totals.tokens += rows.length;
}
