import { readFile, readdir, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeFileAtomic } from '../../engine/checkpoint/atomicFile';
import { toFloat32 } from '../../engine/checkpoint/convertDtype';
import { checkpointFingerprint, layerFingerprint } from '../../engine/checkpoint/fingerprint';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { assertFinite, readTensorBytes, readTensorFloat32, sliceTensor } from '../../engine/checkpoint/readTensor';
import { readSafetensorsHeader } from '../../engine/checkpoint/safetensorsHeader';
import { dtypeBytes, type Dtype, type TensorEntry } from '../../engine/checkpoint/types';
import { writeSafetensors, type TensorToWrite } from '../../engine/checkpoint/writeSafetensors';
import { sharedPath } from '../support/sharedMaterial';
import { temporaryFolder } from '../support/temporaryFolder';

function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function floats(name: string, shape: number[], values: readonly number[]): TensorToWrite {
  return { name, dtype: 'F32', shape, data: bytesOf(Float32Array.from(values)) };
}

async function* chunks(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

function find(tensors: readonly TensorEntry[], name: string): TensorEntry {
  const found = tensors.find((tensor) => tensor.name === name);
  expect(found, name).toBeDefined();
  return found!;
}

describe('writing and reading', () => {
  it('gives back every dtype, name and shape, whole or streamed', async () => {
    const file = path.join(await temporaryFolder(), 'model.safetensors');
    const names = ['10', '9', 'weird "name"\n', 'ünïcode', 'z', '__proto__'];
    const dtypes = Object.keys(dtypeBytes) as Dtype[];
    const tensors = dtypes.flatMap((dtype, number): TensorToWrite[] => {
      const data = Uint8Array.from({ length: 6 * dtypeBytes[dtype] }, (_, at) => (at * 37 + number) % 256);
      const name = `${names[number % names.length]!}.${dtype}`;
      return [
        { name, dtype, shape: [2, 3], data: number % 2 === 0 ? data : chunks(data.subarray(0, 3), data.subarray(3)) },
        { name: `${name}.empty`, dtype, shape: [0, 4], data: new Uint8Array() },
      ];
    });
    tensors.push({ name: 'scalar', dtype: 'F32', shape: [], data: bytesOf(Float32Array.of(4)) });
    tensors.push({ name: '__proto__', dtype: 'U8', shape: [1], data: Uint8Array.of(9) });

    await writeSafetensors(file, tensors, { format: 'pt', about: 'ü' });

    const header = await readSafetensorsHeader(file);
    expect(header.metadata).toEqual({ format: 'pt', about: 'ü' });
    expect(header.fileBytes).toBe((await stat(file)).size);
    expect(header.tensors.map((tensor) => tensor.name).sort()).toEqual(tensors.map((tensor) => tensor.name).sort());
    for (const [number, dtype] of dtypes.entries()) {
      const entry = find(header.tensors, `${names[number % names.length]!}.${dtype}`);
      expect(entry).toMatchObject({ dtype, shape: [2, 3], file });
      expect(entry.byteOffset % dtypeBytes[dtype]).toBe(0);
      const expected = Uint8Array.from({ length: 6 * dtypeBytes[dtype] }, (_, at) => (at * 37 + number) % 256);
      expect(await readTensorBytes(entry)).toEqual(expected);
    }
    expect(await readTensorFloat32(find(header.tensors, 'scalar'))).toEqual(Float32Array.of(4));
    expect(await readdir(path.dirname(file))).toEqual(['model.safetensors']);
  });

  it('writes the same bytes whatever the order of the tensors', async () => {
    const folder = await temporaryFolder();
    const tensors = [
      floats('b', [1], [1]),
      floats('a', [2], [2, 3]),
      { ...floats('c', [2], [4]), dtype: 'BF16' as const },
    ];
    await writeSafetensors(path.join(folder, 'one'), tensors);
    await writeSafetensors(path.join(folder, 'two'), [...tensors].reverse());
    expect(await readFile(path.join(folder, 'one'))).toEqual(await readFile(path.join(folder, 'two')));
  });

  it('keeps the old file and leaves nothing behind when the data fail or do not fit', async () => {
    const folder = await temporaryFolder();
    const file = path.join(folder, 'model.safetensors');
    await writeFile(file, 'old');
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(4);
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    }
    await expect(
      writeSafetensors(file, [{ name: 'a', dtype: 'F32', shape: [2], data: failing() }]),
    ).rejects.toMatchObject({
      code: 'writeFailed',
      kind: 'failed',
      details: { file, wayOut: expect.stringMatching(/disk is full/) },
    });
    for (const size of [4, 12]) {
      const wrong: TensorToWrite = { name: 'a', dtype: 'F32', shape: [2], data: new Uint8Array(size) };
      await expect(writeSafetensors(file, [wrong])).rejects.toMatchObject({
        code: 'internal',
        details: { place: 'a' },
      });
    }
    await expect(writeSafetensors(file, [floats('a', [1], [1]), floats('a', [1], [1])])).rejects.toThrow(/one name/);
    expect(await readdir(folder)).toEqual(['model.safetensors']);
    expect(await readFile(file, 'utf8')).toBe('old');
    const nowhere = path.join(folder, 'missing', 'plan.json');
    await expect(writeFileAtomic(nowhere, '{}')).rejects.toMatchObject({
      code: 'writeFailed',
      details: { file: nowhere },
    });
  });

  it('replaces a text file', async () => {
    const folder = await temporaryFolder();
    await writeFileAtomic(path.join(folder, 'plan.json'), 'first');
    await writeFileAtomic(path.join(folder, 'plan.json'), 'zweite Fassung ü');
    expect(await readFile(path.join(folder, 'plan.json'), 'utf8')).toBe('zweite Fassung ü');
    expect(await readdir(folder)).toEqual(['plan.json']);
  });

  it('names a file that became shorter after it was opened', async () => {
    const file = path.join(await temporaryFolder(), 'model.safetensors');
    await writeSafetensors(file, [floats('a', [4], [1, 2, 3, 4])]);
    const { tensors } = await readSafetensorsHeader(file);
    await truncate(file, (await stat(file)).size - 5);
    await expect(readTensorBytes(find(tensors, 'a'))).rejects.toMatchObject({
      code: 'malformedSafetensors',
      message: expect.stringMatching(/5 bytes too early/),
      details: { file, place: 'a' },
    });
  });
});

describe('conversion to float32', () => {
  /** Value of a small float by its definition, for comparison with the tables. */
  function decode(element: number, exponentBits: number, mantissaBits: number): number {
    const bias = 2 ** (exponentBits - 1) - 1;
    const exponent = Math.floor(element / 2 ** mantissaBits) % 2 ** exponentBits;
    const mantissa = element % 2 ** mantissaBits;
    const magnitude =
      exponent === 0
        ? mantissa * 2 ** (1 - bias - mantissaBits)
        : (mantissa + 2 ** mantissaBits) * 2 ** (exponent - bias - mantissaBits);
    return element >= 2 ** (exponentBits + mantissaBits) ? -magnitude : magnitude;
  }

  it('decodes every half-precision element', () => {
    const values = toFloat32('F16', bytesOf(Uint16Array.from({ length: 65536 }, (_, at) => at)));
    for (let element = 0; element < 65536; element += 1) {
      const special = (element & 0x7c00) === 0x7c00;
      const infinity = element & 0x8000 ? -Infinity : Infinity;
      const expected = special ? ((element & 0x3ff) === 0 ? infinity : NaN) : decode(element, 5, 10);
      if (!Object.is(values[element], expected)) {
        expect.fail(`element ${element}: ${values[element]} instead of ${expected}`);
      }
    }
    expect([0x3c00, 0x3555, 0x7bff, 0x0001, 0xc000].map((element) => values[element])).toEqual([
      1,
      0.333251953125,
      65504,
      2 ** -24,
      -2,
    ]);
  });

  it('decodes both 8-bit floats at their corners', () => {
    const e4m3 = toFloat32('F8_E4M3', Uint8Array.of(0x00, 0x80, 0x01, 0x38, 0x7e, 0xfe, 0x7f, 0xff, 0x08));
    expect([...e4m3]).toEqual([0, -0, 2 ** -9, 1, 448, -448, NaN, NaN, 2 ** -6]);
    const e5m2 = toFloat32('F8_E5M2', Uint8Array.of(0x00, 0x01, 0x3c, 0x7b, 0x7c, 0xfc, 0x7d));
    expect([...e5m2]).toEqual([0, 2 ** -16, 1, 57344, Infinity, -Infinity, NaN]);
  });

  it('decodes bfloat16 at any alignment', () => {
    const source = Uint8Array.of(0xff, 0x80, 0x3f, 0x49, 0xc0, 0x80, 0x7f, 0xc0, 0x7f);
    expect([...toFloat32('BF16', source.subarray(1))]).toEqual([1, -3.140625, Infinity, NaN]);
  });

  it('decodes wide floats and integers', () => {
    expect([...toFloat32('F64', bytesOf(Float64Array.of(0.1, -1e300)))]).toEqual([Math.fround(0.1), -Infinity]);
    expect([...toFloat32('I64', bytesOf(BigInt64Array.of(-5n, 2n ** 40n)))]).toEqual([-5, 2 ** 40]);
    expect([...toFloat32('U64', bytesOf(BigUint64Array.of(2n ** 63n)))]).toEqual([2 ** 63]);
    expect([...toFloat32('I32', bytesOf(Int32Array.of(-7)))]).toEqual([-7]);
    expect([...toFloat32('U32', bytesOf(Uint32Array.of(4294967295)))]).toEqual([4294967296]);
    expect([...toFloat32('I16', bytesOf(Int16Array.of(-300)))]).toEqual([-300]);
    expect([...toFloat32('U16', bytesOf(Uint16Array.of(65535)))]).toEqual([65535]);
    expect([...toFloat32('I8', bytesOf(Int8Array.of(-128)))]).toEqual([-128]);
    expect([...toFloat32('U8', Uint8Array.of(255))]).toEqual([255]);
    expect([...toFloat32('BOOL', Uint8Array.of(1, 0))]).toEqual([1, 0]);
    expect(() => toFloat32('F32', new Uint8Array(3))).toThrow(/no whole number/);
  });
});

describe('parts of tensors and finite weights', () => {
  it('cuts a contiguous part out of a fused tensor', async () => {
    const file = path.join(await temporaryFolder(), 'model.safetensors');
    await writeSafetensors(file, [floats('experts', [3, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])]);
    const experts = find((await readSafetensorsHeader(file)).tensors, 'experts');
    const second = sliceTensor(experts, 'experts[1]', 16, [2, 2]);
    expect(second).toMatchObject({ name: 'experts[1]', shape: [2, 2], byteLength: 16 });
    expect([...(await readTensorFloat32(second))]).toEqual([4, 5, 6, 7]);
    expect(() => sliceTensor(experts, 'x', 36, [2, 2])).toThrow(/leaves the tensor/);
    expect(() => sliceTensor(experts, 'x', -4, [1])).toThrow(/leaves the tensor/);
    expect(() => sliceTensor(experts, 'x', 2, [1])).toThrow(/leaves the tensor/);
  });

  it('names tensor and position of the first weight that is not finite', () => {
    const entry: TensorEntry = {
      name: 'model.layers.3.mlp.gate.weight',
      dtype: 'F32',
      shape: [2, 3],
      file: '/models/x/model.safetensors',
      byteOffset: 0,
      byteLength: 24,
    };
    expect(() => assertFinite(entry, Float32Array.of(1, -3e38, 0, -0, 1e-45, 2))).not.toThrow();
    for (const bad of [NaN, Infinity, -Infinity]) {
      try {
        assertFinite(entry, Float32Array.of(1, 2, 3, 4, bad, NaN));
        expect.fail('It was accepted.');
      } catch (error) {
        expect(error).toMatchObject({
          code: 'nonFiniteWeights',
          message: expect.stringContaining(String(bad)),
          details: { file: entry.file, place: 'model.layers.3.mlp.gate.weight[1, 1]' },
        });
      }
    }
  });
});

describe('fingerprints', () => {
  const router = floats('gate', [100, 100], Array.from({ length: 10_000 }, Math.sqrt));

  async function checkpointOf(folder: string, tensors: readonly TensorToWrite[]): Promise<[string, string]> {
    await writeFile(path.join(folder, 'config.json'), '{}');
    await writeSafetensors(path.join(folder, 'model.safetensors'), tensors);
    await utimes(path.join(folder, 'model.safetensors'), 1, 1);
    const checkpoint = await openCheckpoint(folder);
    const gate = [checkpoint.tensors.get('gate')!];
    return [await checkpointFingerprint(checkpoint, gate), await layerFingerprint([...checkpoint.tensors.values()])];
  }

  it('depend on names, shapes, dtypes and sampled weights, not on the folder', async () => {
    const other = Array.from({ length: 10_000 }, Math.sqrt);
    other[9_999] = -1;
    const variants = [
      [router, floats('up', [2], [1, 2])],
      [router, floats('up', [1, 2], [1, 2])],
      [router, floats('down', [2], [1, 2])],
      [router, { name: 'up', dtype: 'BF16' as const, shape: [4], data: new Uint8Array(8) }],
      [floats('gate', [100, 100], other), floats('up', [2], [1, 2])],
    ];
    const seen: [string, string][] = [];
    for (const variant of variants) {
      seen.push(await checkpointOf(await temporaryFolder(), variant));
    }
    expect(seen[0]![0]).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(seen.map(([checkpoint]) => checkpoint)).size).toBe(variants.length);
    expect(new Set(seen.map(([, layer]) => layer)).size).toBe(variants.length);
    expect(await checkpointOf(await temporaryFolder(), variants[0]!)).toEqual(seen[0]);
  });

  it('of a layer changes when the file was written again', async () => {
    const folder = await temporaryFolder();
    const [before, layerBefore] = await checkpointOf(folder, [router]);
    await utimes(path.join(folder, 'model.safetensors'), 2, 2);
    const checkpoint = await openCheckpoint(folder);
    expect(await checkpointFingerprint(checkpoint, [checkpoint.tensors.get('gate')!])).toBe(before);
    expect(await layerFingerprint([...checkpoint.tensors.values()])).not.toBe(layerBefore);
  });
});

const trained = sharedPath('models/families/mixtral');

describe.skipIf(trained === undefined)('files of the reference writer', () => {
  it.each(['model.safetensors', 'golden.safetensors'])('are reproduced byte for byte: %s', async (name) => {
    const original = path.join(trained!, name);
    const { tensors, metadata } = await readSafetensorsHeader(original);
    const copy = path.join(await temporaryFolder(), name);
    const reversed = await Promise.all(
      [...tensors].reverse().map(async (tensor) => ({ ...tensor, data: await readTensorBytes(tensor) })),
    );
    await writeSafetensors(copy, reversed, metadata);
    expect((await readFile(copy)).equals(await readFile(original))).toBe(true);
  });
});
