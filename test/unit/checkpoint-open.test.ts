import { mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { readTensorFloat32 } from '../../engine/checkpoint/readTensor';
import { safetensorsBytes, writeSharded } from '../support/hostileCheckpoints';
import { sharedPath } from '../support/sharedMaterial';
import { temporaryFolder } from '../support/temporaryFolder';

const vector = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };

describe('opening a checkpoint', () => {
  it('accepts the folder, its config.json, and a link to the folder, whatever the characters of the path', async () => {
    const root = await temporaryFolder();
    const folder = path.join(root, 'models – été 模型 #1 %20');
    await mkdir(folder);
    await writeSharded(folder);
    await writeFile(path.join(folder, 'tokenizer.json'), '{}');
    await symlink(folder, path.join(root, 'link'));

    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint).toMatchObject({
      folder,
      configFile: path.join(folder, 'config.json'),
      config: { model_type: 'mixtral', num_local_experts: 4 },
      tokenizerFile: path.join(folder, 'tokenizer.json'),
    });
    expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b']);
    expect(checkpoint.tensors.get('b')!.file).toBe(path.join(folder, 'two.safetensors'));
    const size = safetensorsBytes({ a: vector }, 8).byteLength;
    expect(checkpoint.bytes).toBe(2 * size);

    expect(await openCheckpoint(path.join(folder, 'config.json'))).toEqual(checkpoint);
    const linked = await openCheckpoint(path.join(root, 'link'));
    expect(linked.folder).toBe(path.join(root, 'link'));
    expect(linked.tensors).toEqual(checkpoint.tensors);
  });

  it('prefers the single file to an index and keeps tensors that the index forgot', async () => {
    const folder = await temporaryFolder();
    await writeSharded(folder, { a: 'one.safetensors' });
    expect([...(await openCheckpoint(folder)).tensors.keys()]).toEqual(['a']);
    const more = { a: vector, extra: { ...vector, data_offsets: [8, 16] } };
    await writeFile(path.join(folder, 'one.safetensors'), safetensorsBytes(more, 16));
    expect([...(await openCheckpoint(folder)).tensors.keys()]).toEqual(['a', 'extra']);
    await writeFile(path.join(folder, 'model.safetensors'), safetensorsBytes({ whole: vector }, 8));
    expect([...(await openCheckpoint(folder)).tensors.keys()]).toEqual(['whole']);
  });

  it('accepts the cache of the Hugging Face hub, where files are links to blobs of the same model', async () => {
    const root = await temporaryFolder();
    const model = path.join(root, 'hub', 'models--someone--model');
    const snapshot = path.join(model, 'snapshots', '0123abc');
    const blobs = path.join(model, 'blobs');
    await mkdir(snapshot, { recursive: true });
    await mkdir(blobs);
    const files = {
      'config.json': JSON.stringify({ model_type: 'mixtral' }),
      'model.safetensors.index.json': JSON.stringify({ weight_map: { a: 'part-1.safetensors' } }),
      'part-1.safetensors': safetensorsBytes({ a: vector }, 8),
    };
    for (const [number, [name, content]] of Object.entries(files).entries()) {
      await writeFile(path.join(blobs, `hash${number}`), content);
      await symlink(path.join('..', '..', 'blobs', `hash${number}`), path.join(snapshot, name));
    }
    const checkpoint = await openCheckpoint(snapshot);
    expect(checkpoint.tensors.get('a')!.file).toBe(path.join(blobs, 'hash2'));
    expect((await readTensorFloat32(checkpoint.tensors.get('a')!)).length).toBe(2);

    // The exception holds for the blobs of this model alone.
    const stranger = path.join(root, 'hub', 'models--other--model', 'blobs', 'hash');
    await mkdir(path.dirname(stranger), { recursive: true });
    await writeFile(stranger, '{}');
    await symlink(stranger, path.join(snapshot, 'tokenizer.json'));
    await expect(openCheckpoint(snapshot)).rejects.toMatchObject({
      code: 'pathEscapesFolder',
      details: { file: path.join(snapshot, 'tokenizer.json') },
    });
  });

  it('reads the bare infinity that Python writes into configs, but not inside texts', async () => {
    const folder = await temporaryFolder();
    await writeSharded(folder);
    const config = '{"limits": [0.0, Infinity, -Infinity], "note": "to \\"Infinity and beyond"}';
    await writeFile(path.join(folder, 'config.json'), config);
    expect((await openCheckpoint(folder)).config).toEqual({
      limits: [0, Infinity, -Infinity],
      note: 'to "Infinity and beyond',
    });
  });

  it('opens 45,000 tensors in 60 shards of 250 GB in well under a second', async () => {
    const folder = await temporaryFolder();
    const weightMap: Record<string, string> = {};
    const elements = 1408 * 2048;
    const perShard = 750;
    await writeFile(path.join(folder, 'config.json'), '{}');
    for (let shard = 0; shard < 60; shard += 1) {
      const file = `model-${String(shard + 1).padStart(5, '0')}-of-00060.safetensors`;
      const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
      for (let tensor = 0; tensor < perShard; tensor += 1) {
        const name = `model.layers.${shard}.mlp.experts.${Math.floor(tensor / 3)}.${['down', 'gate', 'up'][tensor % 3]}_proj.weight`;
        const begin = tensor * elements * 2;
        header[name] = { dtype: 'BF16', shape: [1408, 2048], data_offsets: [begin, begin + elements * 2] };
        weightMap[name] = file;
      }
      const bytes = safetensorsBytes(header, 0);
      await writeFile(path.join(folder, file), bytes);
      await truncate(path.join(folder, file), bytes.byteLength + perShard * elements * 2);
    }
    await writeFile(path.join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));

    const started = performance.now();
    const checkpoint = await openCheckpoint(folder);
    const milliseconds = performance.now() - started;

    expect(checkpoint.tensors.size).toBe(45_000);
    expect(checkpoint.bytes).toBeGreaterThan(250e9);
    console.info(`45,000 tensors in 60 shards: ${milliseconds.toFixed(0)} ms`);
    expect(milliseconds).toBeLessThan(2_000);
  });
});

const trained = sharedPath('models/text');

describe.skipIf(trained === undefined)('a trained checkpoint of four shards', () => {
  it('has the tensors that the reference library found in it', async () => {
    const golden = JSON.parse(await readFile(path.join(trained!, 'golden.json'), 'utf8')) as {
      tensors: Record<string, [number[], string]>;
    };
    const { tensors, tokenizerFile } = await openCheckpoint(trained!);
    const found = Object.fromEntries([...tensors.values()].map(({ name, shape, dtype }) => [name, [shape, dtype]]));
    expect(found).toEqual(golden.tensors);
    expect(tokenizerFile).toBe(path.join(trained!, 'tokenizer.json'));
  });
});
