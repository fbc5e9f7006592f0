import { loadDatasets } from '../../engine/checkpoint/datasets';
import { loadTokenizer } from '../../engine/checkpoint/tokenizer';
import { makeWindows } from '../../engine/checkpoint/windows';
import { attentionHeads } from '../../engine/jobs/evaluate';
import { openModel } from '../../engine/jobs/openModel';
import { openPlannedModel } from '../../engine/jobs/plannedModel';
import { evaluateDataset } from '../../engine/measure/evaluation';
import { quietJob } from '../../engine/measure/jobContext';
import { LayerSessions } from '../../engine/measure/layerSessions';
import { walkLayers } from '../../engine/measure/layerWalk';
import { scoreSequences } from '../../engine/measure/scoring';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { testRuntime } from './engineRun';

/** Perplexity of the one dataset of a text file under a plan that changes weights, without the baseline that `evaluate` runs beside it. */
export async function plannedPerplexity(request: {
  readonly checkpoint: string;
  readonly plan: string;
  readonly text: string;
  readonly windows: number;
}): Promise<{ perplexity: number; tokens: number }> {
  const job = quietJob();
  const model = await openModel(request.checkpoint);
  const tokenizer = await loadTokenizer(model.checkpoint);
  const [dataset] = await loadDatasets([request.text]);
  const sequences = makeWindows(dataset!, tokenizer, { length: 512, perDocument: false, windows: request.windows });
  const planned = await openPlannedModel(model, { plan: request.plan }, job);
  const spec = planned.decoder(model.resolved.decoder());
  const sessions = new LayerSessions(spec, testRuntime);
  const batches = batchSequences(sequences, attentionHeads(spec));
  const variants = [planned.activeExperts];
  const common = { model: spec, runtime: testRuntime, batches, job };
  try {
    const walk = await walkLayers({ ...common, sessions, variants });
    try {
      const scores = await scoreSequences({ ...common, sequences, walk, compare: false });
      return evaluateDataset(scores, { name: dataset!.name, start: 0, end: sequences.length });
    } finally {
      await walk.dispose();
    }
  } finally {
    await sessions.dispose();
    await planned.dispose();
  }
}
