import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { apply } from '../../engine/jobs/apply';
import { forward } from '../../engine/jobs/forward';
import { inspect } from '../../engine/jobs/inspect';
import { quietJob } from '../../engine/measure/jobContext';
import { samplePath } from '../support/brokenSamples';
import { testServices } from '../support/engineServices';
import { randomPrunePlan } from '../support/prunePlan';
import { readTensorFile } from '../support/reference/readTensors';
import { sharedPath } from '../support/sharedMaterial';
import { checkArchitecture, readStrictly, type StrictCheckpoint } from '../support/strictReader';
import { temporaryFolder } from '../support/temporaryFolder';

/** Pruned checkpoints of every golden family, read by a loader that shares no code with the engine. */

const golden = path.resolve(import.meta.dirname, 'families');
const families = readdirSync(golden);
/** Lies beside the weights of the reference checkpoints. */
const goldenTensors = 'golden.safetensors';

let root: string;
let plan: string;
let out: string;

beforeEach(async () => {
  root = await temporaryFolder();
  plan = path.join(root, 'some.moeplan.json');
  out = path.join(root, 'written');
});

async function write(checkpoint: string, content: object) {
  await writeFile(plan, JSON.stringify(content));
  return apply({ checkpoint, plan, target: 'huggingface', out }, quietJob());
}

/** Logits of a few tokens. */
async function logits(checkpoint: string, options: { plan?: string } = {}): Promise<Float64Array> {
  const { services } = testServices(root);
  const ids = path.join(root, 'ids.json');
  const file = path.join(root, 'logits.safetensors');
  await writeFile(ids, '[[5, 6, 7, 8, 9, 10, 11, 3, 60, 61, 62, 63]]');
  await forward({ checkpoint, ids, out: file, moeIo: false, ...options }, services, quietJob());
  return readTensorFile(file).get('logits')!.data;
}

function bytesOf({ tensors }: StrictCheckpoint): number {
  return [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
}

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('half of the experts', () => {
  test.each([...families.map((name) => [name, path.join(golden, name)] as const), ['sample', samplePath] as const])(
    '%s',
    async (_, checkpoint) => {
      const source = path.join(checkpoint, 'model.safetensors');
      const before = hash(await readFile(source));
      const content = await randomPrunePlan(checkpoint, 0.5);
      const result = await write(checkpoint, content);
      expect(hash(await readFile(source))).toBe(before);
      expect(result.predictedBytes).toBe(result.bytes);

      const [original, written] = [readStrictly(checkpoint, [goldenTensors]), readStrictly(out)];
      const kept = content.prune.keep;
      expect(checkArchitecture(written)).toBe(kept[0]!.length);
      const { layers } = await inspect(checkpoint);
      const moe = layers.filter((layer) => layer.moe);
      const gone = moe.reduce(
        (sum, { expertBytes, experts }, at) => sum + (expertBytes * (experts - kept[at]!.length)) / experts,
        0,
      );
      const routers = routerBytes(original) - routerBytes(written);
      expect(bytesOf(original) - bytesOf(written)).toBe(gone + routers);
      expect(routers * 2).toBe(routerBytes(original));

      for (const [name, tensor] of original.tensors) {
        if (!/experts|gate\.|router|block_sparse_moe/.test(name)) {
          expect(hash(written.tensors.get(name)!.data), name).toBe(hash(tensor.data));
        }
      }
      expect(await logits(out)).toEqual(await logits(checkpoint, { plan }));
    },
  );
});

function routerBytes({ tensors }: StrictCheckpoint): number {
  const router =
    /\.(mlp\.gate|mlp\.router|block_sparse_moe\.gate|block_sparse_moe\.router\.layer|feed_forward\.router)\./;
  return [...tensors].reduce((sum, [name, { data }]) => sum + (router.test(name) ? data.length : 0), 0);
}

describe('what a plan adds to pruning', () => {
  const olmoe = path.join(golden, 'olmoe');

  test('a correction is part of the down projections, in their type', async () => {
    const content = await randomPrunePlan(olmoe, 0.5);
    const correction = content.prune.keep.map((_, layer) => 0.3 + 0.05 * layer);
    await write(olmoe, { ...content, prune: { ...content.prune, correction } });
    const written = readStrictly(out);
    expect(checkArchitecture(written)).toBe(4);
    const planned = await logits(olmoe, { plan });
    expect(relativeDistance(await logits(out), planned)).toBeLessThan(0.02);
    // Without the correction the distance is many times that of rounding to bfloat16.
    await writeFile(plan, JSON.stringify(content));
    expect(relativeDistance(await logits(olmoe, { plan }), planned)).toBeGreaterThan(0.1);
  });

  test('active experts per layer come with their loader, never more than there are experts', async () => {
    const content = await randomPrunePlan(olmoe, 0.5);
    const result = await write(olmoe, { ...content, activeExperts: [4, 3, 2, 1] });
    expect(result.delivery).toBe('loader');
    const written = readStrictly(out);
    checkArchitecture(written);
    expect(written.config['moe_tuner_active_experts']).toEqual([4, 3, 2, 1]);
    expect(await logits(out)).toEqual(await logits(olmoe, { plan }));
  });

  test('fewer experts than were active lower the number of active ones', async () => {
    await write(olmoe, await randomPrunePlan(olmoe, 0.25));
    const written = readStrictly(out);
    expect([checkArchitecture(written), written.config['num_experts_per_tok']]).toEqual([2, 2]);
    expect(await logits(out)).toEqual(await logits(olmoe, { plan }));
  });

  test('a pruned folder can be pruned again', async () => {
    await write(olmoe, await randomPrunePlan(olmoe, 0.75));
    const first = out;
    out = path.join(root, 'again');
    await write(first, await randomPrunePlan(first, 0.5));
    expect(checkArchitecture(readStrictly(out))).toBe(3);
    expect(await logits(out)).toEqual(await logits(first, { plan }));
  });
});

function relativeDistance(left: Float64Array, right: Float64Array): number {
  let [difference, norm] = [0, 0];
  right.forEach((value, at) => {
    difference += (left[at]! - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}

const text = sharedPath('models/text');

test.skipIf(text === undefined)('shards stay apart, and the index names what is left', async () => {
  const result = await write(text!, await randomPrunePlan(text!, 0.75));
  const [original, written] = [readStrictly(text!, [goldenTensors]), readStrictly(out)];
  expect(checkArchitecture(written)).toBe(24);
  const files = (checkpoint: StrictCheckpoint) => new Set([...checkpoint.tensors.values()].map(({ file }) => file));
  expect(files(written)).toEqual(files(original));
  expect(result.predictedBytes).toBe(result.bytes);
  for (const [name, { file }] of written.tensors) {
    const stays = original.tensors.get(name)!;
    expect(/experts/.test(name) || stays.file === file, name).toBe(true);
  }
});
