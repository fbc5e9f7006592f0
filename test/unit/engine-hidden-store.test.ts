import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { quietJob } from '../../engine/measure/jobContext';
import { HiddenStore } from '../../engine/measure/hiddenStore';
import { LayerSessions } from '../../engine/measure/layerSessions';
import { walkLayers } from '../../engine/measure/layerWalk';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { openResolved, testRuntime } from '../support/engineRun';

const golden = path.join(import.meta.dirname, '../golden/families/mixtral');

describe('hidden states', () => {
  test('beyond the limit lie on disk, come back as they were, and leave no file', async () => {
    const before = temporaryFolders();
    const store = new HiddenStore(40);
    await store.write('a', Float32Array.of(1, 2, 3, 4, 5, 6));
    await store.write('b', Float32Array.of(7, 8, 9, 10, 11, 12));
    expect(store.spilledBytes).toBe(24);
    expect([...(await store.read('a'))]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...(await store.read('b'))]).toEqual([7, 8, 9, 10, 11, 12]);
    await store.write('b', Float32Array.of(13));
    expect([...(await store.read('b'))]).toEqual([13]);
    await store.dispose();
    expect(temporaryFolders()).toEqual(before);
  });

  test('a walk that keeps nothing in memory gives the same states', async () => {
    const model = await openResolved(golden);
    const spec = model.decoder();
    const sequences = [Int32Array.of(1, 2, 3, 4), Int32Array.of(5, 6, 7, 8), Int32Array.of(9, 10, 11, 12)];
    const walked: Float32Array[] = [];
    for (const hiddenMemoryBytes of [2 ** 30, 0]) {
      const sessions = new LayerSessions(spec, testRuntime);
      const walk = await walkLayers({
        model: spec,
        sessions,
        runtime: { ...testRuntime, hiddenMemoryBytes },
        batches: batchSequences(sequences, 1),
        variants: [model.blocks.map(({ activeExperts }) => activeExperts)],
        job: quietJob(),
      });
      walked.push(await walk.hidden(0, 0));
      await walk.dispose();
      await sessions.dispose();
    }
    expect(walked[1]).toEqual(walked[0]);
  });
});

function temporaryFolders(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('moe-tuner-hidden'));
}
