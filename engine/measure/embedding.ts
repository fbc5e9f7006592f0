import type { ModelSpec } from '../families/specification';
import { embeddingGraph, embeddingNames } from '../graph/modelEndsGraph';
import { openGraph } from '../runtime/openGraph';
import { floats, type RuntimeOptions } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import { allFinite, explainNonFinite } from './nonFinite';
import type { SequenceBatch } from './sequenceBatches';

const deadlineSeconds = 300;

/** Embeds the tokens of every batch: `store` receives `[count, time, hidden]` of batch `at`. */
export async function embedBatches(
  options: {
    readonly model: ModelSpec;
    readonly runtime: RuntimeOptions;
    readonly batches: readonly SequenceBatch[];
    readonly job: JobContext;
  },
  store: (at: number, values: Float32Array) => Promise<void>,
): Promise<void> {
  const { model, runtime, batches, job } = options;
  const session = await openGraph((target) => embeddingGraph(model, target), runtime);
  try {
    for (const [at, batch] of batches.entries()) {
      const values = await step(job, 'embedding', deadlineSeconds, async () => {
        const ids = { type: 'int64', data: batch.ids, shape: [batch.count, batch.time] } as const;
        return floats(await session.run({ [embeddingNames.ids]: ids }), embeddingNames.hidden);
      });
      if (!allFinite(values)) {
        await explainNonFinite(model.embedding, -1);
      }
      await store(at, values);
    }
  } finally {
    await session.dispose();
  }
}
