import path from 'node:path';
import { expect, test } from 'vitest';
import { KeptProgress } from '../../engine/jobs/calibrationProgress';
import { quietJob, type JobContext } from '../../engine/measure/jobContext';
import { LayerSessions } from '../../engine/measure/layerSessions';
import { walkLayers } from '../../engine/measure/layerWalk';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { openResolved, testRuntime } from '../support/engineRun';
import { testServices } from '../support/engineServices';
import { failureOf } from '../support/failureOf';
import { temporaryFolder } from '../support/temporaryFolder';
import { root } from '../../scripts/support/paths.mjs';

test.each([
  { name: 'one variant', changedFrom: Infinity },
  { name: 'two variants that part in the first layer', changedFrom: 0 },
  { name: 'two variants that part after the interruption', changedFrom: 2 },
])('an interrupted evaluation goes on behind its last layer: $name', async ({ changedFrom }) => {
  const model = await openResolved(path.join(root, 'test', 'golden', 'families', 'mixtral'));
  const spec = model.decoder();
  const { services } = testServices(await temporaryFolder());
  const kept = new KeptProgress({
    cache: services.cache,
    cacheLimitBytes: services.settings.cacheLimitBytes,
    key: [changedFrom],
    tags: [],
    trace: false,
    interval: 0,
  });
  const sequences = [9, 9, 5].map((time, from) =>
    Int32Array.from({ length: time }, (_, at) => (7 * at + from) % spec.vocabularySize),
  );
  const batches = batchSequences(sequences, 1);
  const trained = model.blocks.map(({ activeExperts }) => activeExperts);
  const changed = trained.map((k, layer) => (layer >= changedFrom ? 1 : k));
  const variants = changedFrom === Infinity ? [trained] : [trained, changed];

  /** The last states of every variant and batch, and the layers that ran; stops before layer `stopAt`. */
  const walk = async (stopAt: number, progress: KeptProgress | undefined) => {
    const abort = new AbortController();
    const ran = new Set<string>();
    const job: JobContext = {
      ...quietJob(abort.signal),
      stepStarted: (label) => {
        if (label === `layer ${stopAt}`) {
          abort.abort();
        }
        ran.add(label);
      },
    };
    const sessions = new LayerSessions(spec, testRuntime);
    try {
      const result = await walkLayers({
        model: spec,
        sessions,
        runtime: testRuntime,
        batches,
        variants,
        job,
        kept: progress,
      });
      const states = variants.map((_, variant) => batches.map((__, at) => result.hidden(variant, at)));
      const values = await Promise.all(states.flat());
      await result.dispose();
      return { values, ran: [...ran].filter((label) => label.startsWith('layer ')) };
    } finally {
      await sessions.dispose();
    }
  };

  const last = spec.layers.length - 1;
  expect(last).toBeGreaterThan(0);
  expect((await failureOf(walk(last, kept))).code).toBe('cancelled');
  const resumed = await walk(Infinity, kept);
  expect(resumed.ran).toEqual([`layer ${last}`]);
  expect(resumed.values).toEqual((await walk(Infinity, undefined)).values);
});
