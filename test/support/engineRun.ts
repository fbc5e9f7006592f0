import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { resolveModel, type ResolvedModel } from '../../engine/families/resolveModel';
import { headGraph, headNames } from '../../engine/graph/modelEndsGraph';
import { quietJob } from '../../engine/measure/jobContext';
import { LayerSessions } from '../../engine/measure/layerSessions';
import { walkLayers } from '../../engine/measure/layerWalk';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { floats, openSession } from '../../engine/runtime/session';
import { testThreads } from './engineServices';

/** How tests run the engine: on the processor. */
export const testRuntime = { provider: 'cpu', threads: testThreads };

/** Opens a checkpoint folder and applies its family. */
export async function openResolved(folder: string): Promise<ResolvedModel> {
  return resolveModel(await openCheckpoint(folder));
}

/** Logits of the engine, `[sequences · time, vocabulary]`, for sequences of one length. */
export async function engineLogits(
  model: ResolvedModel,
  sequences: readonly Int32Array[],
  active: readonly number[] = model.blocks.map(({ activeExperts }) => activeExperts),
): Promise<Float32Array> {
  const spec = model.decoder();
  const sessions = new LayerSessions(spec, testRuntime);
  const walk = await walkLayers({
    model: spec,
    sessions,
    runtime: testRuntime,
    batches: batchSequences(sequences, sequences.length),
    variants: [active],
    job: quietJob(),
  });
  const head = await openSession(headGraph(spec), testRuntime);
  try {
    const data = await walk.hidden(0, 0);
    const shape = [data.length / spec.hiddenSize, spec.hiddenSize];
    return floats(await head.run({ [headNames.hidden]: { type: 'float32', data, shape } }), headNames.logits);
  } finally {
    await head.dispose();
    await walk.dispose();
    await sessions.dispose();
  }
}
