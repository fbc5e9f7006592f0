import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { tunedConfigText } from '../../engine/export/tunedConfig';
import { resolveModel, type ResolvedModel } from '../../engine/families/resolveModel';
import { TunerError } from '../../engine/protocol/errors';
import { copySample } from '../support/brokenSamples';
import { temporaryFolder } from '../support/temporaryFolder';

const moeLayers = [0, 1, 2, 3, 4, 5, 6, 7];

async function sampleWith(change: (text: string) => string): Promise<string> {
  const folder = await temporaryFolder();
  await copySample(folder);
  const file = path.join(folder, 'config.json');
  await writeFile(file, change(await readFile(file, 'utf8')));
  return folder;
}

const resolved = async (folder: string): Promise<ResolvedModel> => resolveModel(await openCheckpoint(folder));

const withList = (list: string, k = 4) =>
  sampleWith((text) =>
    text
      .replace('"num_experts_per_tok": 4', `"num_experts_per_tok": ${k}`)
      .replace('{', `{ "moe_tuner_active_experts": ${list},`),
  );

test('a list of one number per MoE layer is what the model runs with', async () => {
  const model = await resolved(await withList('[1, 2, 3, 4, 1, 2, 3, 4]'));
  expect(model.blocks.map(({ activeExperts }) => activeExperts)).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
  expect([model.activeExperts, model.configKeys.activeExperts]).toEqual([4, 'num_experts_per_tok']);
});

test.each([
  ['of another length', '[4, 4]', 4, 'malformedConfig', 'moe_tuner_active_experts', /8 positive numbers/],
  ['with a zero', '[0, 4, 4, 4, 4, 4, 4, 4]', 4, 'malformedConfig', 'moe_tuner_active_experts', /8 positive numbers/],
  ['of words', '["a"]', 4, 'malformedConfig', 'moe_tuner_active_experts', /list of integers/],
  ['that the config outgrew', '[1, 2, 3, 4, 1, 2, 3, 4]', 6, 'contradictoryConfig', 'num_experts_per_tok', /is 4, but/],
  ['beyond the experts', '[17, 4, 4, 4, 4, 4, 4, 4]', 4, 'contradictoryConfig', 'num_experts_per_tok', /17 active/],
] as const)('a list %s is refused at its place', async (_name, list, k, code, place, message) => {
  const error: unknown = await resolved(await withList(list, k)).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(TunerError);
  expect(error).toMatchObject({ code, details: { place } });
  expect((error as TunerError).message).toMatch(message);
});

test('editing a config changes the one fact and leaves every other character', async () => {
  const text = '{\r\n\t"time_step_limit": [0.0, Infinity],\r\n\t"num_experts_per_tok": 4 ';
  const folder = await sampleWith((original) =>
    original.replace('"num_experts_per_tok": 4', '"x": "Infinity"').replace('{', `${text},`),
  );
  const { recognised } = await resolved(folder);
  const original = await readFile(path.join(folder, 'config.json'), 'utf8');
  const same = { delivery: 'scalar', activeExperts: moeLayers.map(() => 2), moeLayers, layerCount: 8 } as const;
  expect(tunedConfigText(original, recognised, same)).toBe(
    original.replace('"num_experts_per_tok": 4', '"num_experts_per_tok": 2'),
  );
});
