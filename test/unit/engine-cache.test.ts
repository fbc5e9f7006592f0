import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { forward } from '../../engine/jobs/forward';
import { profile } from '../../engine/jobs/profile';
import { ResultCache } from '../../engine/jobs/resultCache';
import { quietJob } from '../../engine/measure/jobContext';
import { profileParamsSchema } from '../../engine/protocol/sensitivity';
import { samplePath } from '../support/brokenSamples';
import { testServices } from '../support/engineServices';
import { failureOf } from '../support/failureOf';
import { temporaryFolder } from '../support/temporaryFolder';

const params = profileParamsSchema.parse({ checkpoint: samplePath, samples: 64 });

test('a cache that cannot be written costs a warning, not the job', async () => {
  const root = await temporaryFolder();
  // A file where the folder should be refuses every user, root as well.
  await writeFile(path.join(root, 'cache'), 'in the way');
  const blocked = testServices(root);
  const result = await profile(params, blocked.services, quietJob());
  expect(blocked.warnings).toHaveLength(1);
  expect(blocked.warnings[0]).toContain(path.join(root, 'cache'));
  expect(blocked.warnings[0]).toMatch(/cannot be kept/);

  const free = testServices(await temporaryFolder());
  const kept = await profile(params, free.services, quietJob());
  expect(free.warnings).toEqual([]);
  expect(result.layers).toEqual(kept.layers);
  expect(result.resumedLayers).toBe(0);
  expect((await profile(params, free.services, quietJob())).resumedLayers).toBe(8);
});

test('a cache of another person can be read, and costs a warning', async (context) => {
  context.skip(process.getuid?.() === 0, 'root may write everywhere');
  const root = await temporaryFolder();
  const first = testServices(root);
  await profile(params, first.services, quietJob());
  const cache = path.join(root, 'cache');
  const folders = await readdir(cache, { recursive: true, withFileTypes: true });
  const all = [
    cache,
    ...folders.filter((entry) => entry.isDirectory()).map((entry) => path.join(entry.parentPath, entry.name)),
  ];
  await Promise.all(all.map((folder) => chmod(folder, 0o555)));
  try {
    const second = testServices(root);
    expect((await profile(params, second.services, quietJob())).resumedLayers).toBe(8);
    const other = profileParamsSchema.parse({ ...params, seed: 1 });
    expect((await profile(other, second.services, quietJob())).resumedLayers).toBe(0);
    expect(second.warnings).toHaveLength(1);
  } finally {
    await Promise.all(all.map((folder) => chmod(folder, 0o755)));
  }
});

test('a damaged entry is measured again', async () => {
  const root = await temporaryFolder();
  const { services, warnings } = testServices(root);
  const before = await profile(params, services, quietJob());
  const layers = path.join(root, 'cache', 'layers');
  const names = await readdir(layers, { recursive: true });
  const [one, other] = names.filter((name) => name.endsWith('.json')).map((name) => path.join(layers, name));
  await writeFile(one!, '{"index": 0');
  await writeFile(other!, '{"index": "zero"}');
  const after = await profile(params, services, quietJob());
  expect(after.resumedLayers).toBe(6);
  expect(after.layers).toEqual(before.layers);
  expect(warnings).toEqual([]);
});

test('a layer measured differently is measured again', async () => {
  const { services } = testServices(await temporaryFolder());
  await profile(params, services, quietJob());
  for (const change of [{ seed: 1 }, { samples: 128 }, { input: 'gamma' }]) {
    const changed = profileParamsSchema.parse({ ...params, ...change });
    expect((await profile(changed, services, quietJob())).resumedLayers, JSON.stringify(change)).toBe(0);
  }
});

test('the cache keeps its limit by dropping what was written first', async () => {
  const folder = path.join(await temporaryFolder(), 'cache');
  const cache = new ResultCache(folder, 2500);
  for (const round of [1, 2, 3]) {
    await cache.addResult('checkpoint', 'profile', { round, filling: 'x'.repeat(1000) });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const kept = (await cache.results('checkpoint', 'profile')) as { round: number }[];
  expect(kept.map(({ round }) => round)).toEqual([2, 3]);
});

test('an output that cannot be written is an error, and nothing is left of it', async () => {
  const root = await temporaryFolder();
  const { services } = testServices(root);
  const ids = path.join(root, 'ids.json');
  await writeFile(ids, '[[1, 2, 3]]');
  const folder = path.join(root, 'out.safetensors');
  await mkdir(folder);
  await writeFile(path.join(root, 'file'), '');
  const before = await readdir(root);
  for (const out of [
    folder,
    path.join(root, 'missing', 'out.safetensors'),
    path.join(root, 'file', 'out.safetensors'),
  ]) {
    const error = await failureOf(
      forward({ checkpoint: samplePath, ids, out, moeIo: false }, services, quietJob()),
      out,
    );
    expect(error.code).toBe('writeFailed');
    expect(error.kind).toBe('failed');
    expect(error.details.file).toBe(out);
    expect(error.details.wayOut).toMatch(/folder/);
  }
  expect(await readdir(root)).toEqual(before);
  expect(await readdir(folder)).toEqual([]);
});
