import path from 'node:path';
import { loadDatasets, loadTasks } from '../checkpoint/datasets';
import { loadTokenizer } from '../checkpoint/tokenizer';
import { makeTaskSequences, makeWindows } from '../checkpoint/windows';
import type { ModelSpec } from '../families/specification';
import { evaluateDataset, evaluateTasks, geometricMean, mean, type DatasetRange } from '../measure/evaluation';
import type { JobContext } from '../measure/jobContext';
import { LayerSessions } from '../measure/layerSessions';
import { walkLayers } from '../measure/layerWalk';
import { scoreSequences } from '../measure/scoring';
import { batchSequences } from '../measure/sequenceBatches';
import { TunerError } from '../protocol/errors';
import type { EvaluateParams, EvaluateResult } from '../protocol/evaluation';
import { trainedActiveExperts } from './activeExperts';
import { storedExpertBytes } from './expertBytes';
import { openModel } from './openModel';
import { openPlannedModel } from './plannedModel';
import { runtimeOptions, type EngineServices } from './services';
import { ranOn, runtimeKey } from '../runtime/graphTargets';
import { layerFingerprint } from '../checkpoint/fingerprint';
import { specTensors } from '../families/specTensors';
import { KeptProgress } from './calibrationProgress';

/** Share of the work that the layers take; the rest is the head. */
const walkShare = 0.9;

/** Part of the key of kept hidden states: raise it when layers compute something else. */
const walkVersion = 1;

/**
 * Measured quality of the checkpoint, or of a plan (or other active experts) against it: perplexity, KL divergence and
 * top-1 agreement on texts, exact match on tasks. Baseline and plan walk the layers together.
 * @throws TunerError `usage`, `missingTokenizer`, `malformedText`, `malformedPlan`, `planForAnotherCheckpoint`, `cancelled`, …
 */
export async function evaluate(
  params: EvaluateParams,
  services: EngineServices,
  job: JobContext,
): Promise<EvaluateResult> {
  const start = performance.now();
  if (params.text.length === 0 && params.tasks.length === 0) {
    throw new TunerError('usage', 'There is nothing to evaluate on.', {
      place: '--text, --tasks',
      wayOut: 'Give text files with --text, task files with --tasks, or both.',
    });
  }
  const model = await openModel(params.checkpoint);
  const trained = trainedActiveExperts(model);
  const spec = model.resolved.decoder();
  const tokenizer = await loadTokenizer(model.checkpoint);

  const windows: Int32Array[] = [];
  const ranges: DatasetRange[] = [];
  for (const dataset of await loadDatasets(params.text)) {
    const { length, perDocument } = params;
    const made = makeWindows(dataset, tokenizer, { length, perDocument, windows: params.windows });
    ranges.push({ name: dataset.name, start: windows.length, end: windows.length + made.length });
    windows.push(...made);
  }
  const items = makeTaskSequences(await loadTasks(params.tasks), tokenizer);
  const sequences = [...windows, ...items.map(({ ids }) => ids)];
  assertVocabulary(sequences, spec, model.checkpoint.tokenizerFile);

  const runtime = await runtimeOptions(services, job);
  const batches = batchSequences(sequences, attentionHeads(spec));
  const planned = await openPlannedModel(model, params, job);
  const { activeExperts: requested, changed: compare } = planned;
  const sessions = new LayerSessions(spec, runtime);
  const changed = planned.weightsChanged ? new LayerSessions(planned.decoder(spec), runtime) : undefined;
  // Weights that a plan computes lie in new files every time: such an evaluation starts over.
  const weights =
    changed === undefined ? undefined : [await layerFingerprint(specTensors(changed.model)), changed.model];
  const tokens = sequences.map((sequence) => [...sequence]);
  const variants = compare ? [trained, requested] : [trained];
  const kept = new KeptProgress({
    cache: services.cache,
    cacheLimitBytes: services.settings.cacheLimitBytes,
    key: ['evaluation', walkVersion, model.fingerprint, weights, variants, tokens, runtimeKey(runtime)],
    tags: [],
    trace: false,
  });
  try {
    const walk = await walkLayers({
      model: spec,
      sessions,
      runtime,
      batches,
      variants,
      changed: changed === undefined ? undefined : new Map([[1, changed]]),
      job,
      kept,
      progress: [0, walkShare],
    });
    try {
      job.progress(walkShare, 'Scoring');
      const scores = await scoreSequences({ model: spec, runtime, batches, sequences, walk, compare, job });
      const taskScores = scores.slice(windows.length);
      const datasets = Object.fromEntries(ranges.map((range) => [range.name, evaluateDataset(scores, range)]));
      const tasks = evaluateTasks(items, taskScores, compare);
      const baselineTasks = evaluateTasks(items, taskScores, false);
      const values = Object.values(datasets);
      const result: EvaluateResult = {
        checkpoint: model.checkpoint.folder,
        fingerprint: model.fingerprint,
        ...(params.plan === undefined ? {} : { plan: path.resolve(params.plan) }),
        activeExperts: [...requested],
        baseline: !compare,
        weightsChanged: planned.weightsChanged,
        changes: [...planned.changes],
        expertBytes: planned.expertBytes,
        originalExpertBytes: storedExpertBytes(model.resolved.blocks),
        datasets,
        ...(values.length > 0
          ? {
              geometricMeanPerplexity: geometricMean(values.map(({ perplexity }) => perplexity)),
              baselineGeometricMeanPerplexity: geometricMean(
                values.map(({ perplexity, baselinePerplexity }) => baselinePerplexity ?? perplexity),
              ),
            }
          : {}),
        tasks,
        ...(items.length > 0
          ? {
              meanAccuracy: mean(Object.values(tasks)),
              baselineTasks,
              baselineMeanAccuracy: mean(Object.values(baselineTasks)),
            }
          : {}),
        seconds: (performance.now() - start) / 1000,
        provider: ranOn(runtime),
        finished: new Date().toISOString(),
      };
      await services.cache.addResult(model.resultsKey, 'evaluation', result);
      await kept.finished();
      return result;
    } finally {
      await walk.dispose();
    }
  } finally {
    await sessions.dispose();
    await changed?.dispose();
    await planned.dispose();
  }
}

/** Most attention heads of a layer: bounds the attention memory of a batch. */
export function attentionHeads(model: ModelSpec): number {
  return Math.max(1, ...model.layers.map(({ mixer }) => (mixer.kind === 'short-convolution' ? 1 : mixer.heads)));
}

/** @throws TunerError `malformedTokenizer` when a token is beyond the vocabulary of the model */
export function assertVocabulary(sequences: readonly Int32Array[], model: ModelSpec, file: string | undefined): void {
  for (const sequence of sequences) {
    const outside = sequence.find((id) => id >= model.vocabularySize);
    if (outside !== undefined) {
      throw new TunerError(
        'malformedTokenizer',
        `The tokenizer gives token ${outside}, but the model knows ${model.vocabularySize} tokens.`,
        { file, wayOut: 'Use the tokenizer that belongs to the checkpoint.' },
      );
    }
  }
}
