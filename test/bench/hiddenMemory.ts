import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { attentionHeads } from '../../engine/jobs/evaluate';
import { openModel } from '../../engine/jobs/openModel';
import { quietJob } from '../../engine/measure/jobContext';
import { LayerSessions } from '../../engine/measure/layerSessions';
import { walkLayers } from '../../engine/measure/layerWalk';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { tiny } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';
import type { BenchmarkLine } from './budgets';

/** A calibration-sized batch: 262,144 tokens. */
const defaultBatch = { sequences: 128, length: 2048 };
/** Hidden states in memory: a few batches of them, or all. */
const limits = { spilled: 2 ** 23, held: 2 ** 31 };

/** Memory of this process that belongs to no file, in bytes; NaN where the system does not say it. */
function ownBytes(): number {
  try {
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? NaN) * 1024;
  } catch {
    return NaN;
  }
}

/**
 * All layers of a tiny checkpoint over a calibration-sized batch, with hidden states that go to temporary files beyond a small limit, and
 * with all of them in memory: memory beyond the start, time, and whether the last hidden states are the same to the bit.
 */
export async function benchmarkHiddenMemory(batch = defaultBatch): Promise<BenchmarkLine[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-hidden-bench-'));
  try {
    const checkpoint = tinyCheckpoints.find(({ name }) => name === 'mixtral')!;
    const config = { ...checkpoint.config, max_position_embeddings: batch.length };
    const spec = (await openModel(writeTinyCheckpoint({ ...checkpoint, config }, folder))).resolved.decoder();
    const random = new SeededRandom(0);
    const sequences = Array.from({ length: batch.sequences }, () =>
      Int32Array.from({ length: batch.length }, () => random.integerBelow(tiny.vocabulary)),
    );
    const batches = batchSequences(sequences, attentionHeads(spec));
    const run = async (hiddenMemoryBytes: number) => {
      const runtime = { provider: 'cpu', threads: 2, hiddenMemoryBytes };
      const sessions = new LayerSessions(spec, runtime);
      const start = { seconds: performance.now() / 1000, bytes: ownBytes() };
      let most = start.bytes;
      const job = { ...quietJob(), progress: () => (most = Math.max(most, ownBytes())) };
      const walk = await walkLayers({
        model: spec,
        sessions,
        runtime,
        batches,
        variants: [checkpointActive(spec.layers.length)],
        job,
      });
      const hash = createHash('sha256');
      for (const at of batches.keys()) {
        const values = await walk.hidden(0, at);
        hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
        most = Math.max(most, ownBytes());
      }
      await walk.dispose();
      await sessions.dispose();
      const seconds = performance.now() / 1000 - start.seconds;
      return { digest: hash.digest('hex'), grown: (most - start.bytes) / 1e6, seconds };
    };
    const spilled = await run(limits.spilled);
    const held = await run(limits.held);
    const states = (4 * batch.sequences * batch.length * spec.hiddenSize) / 1e6;
    const of = (line: string) => `${batch.sequences} x ${batch.length} tokens: ${line}`;
    return [
      { name: of('hidden states'), value: states, unit: 'MB' },
      { name: of('own memory beyond the start, 8.4 MB of hidden states kept'), value: spilled.grown, unit: 'MB' },
      { name: of('own memory beyond that, all kept'), value: held.grown, unit: 'MB' },
      { name: of('time with files'), value: spilled.seconds, unit: 's' },
      { name: of('time in memory'), value: held.seconds, unit: 's' },
      { name: of('same last hidden states'), value: Number(spilled.digest === held.digest), unit: '', limit: 1 },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function checkpointActive(layers: number): number[] {
  return Array.from({ length: layers }, () => tiny.activeExperts);
}

for (const { name, value, unit, limit } of await benchmarkHiddenMemory()) {
  console.log(`${name}: ${value.toPrecision(4)} ${unit}${limit === undefined ? '' : ` (limit ${limit})`}`);
}
