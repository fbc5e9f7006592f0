import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { readSafetensorsHeader } from '../../engine/checkpoint/safetensorsHeader';
import { TunerError } from '../../engine/protocol/errors';
import { hostileCheckpoints, safetensorsBytes, writeSharded, writeSingleFile } from '../support/hostileCheckpoints';
import { temporaryFolder } from '../support/temporaryFolder';

async function failure(work: Promise<unknown>): Promise<TunerError> {
  const error: unknown = await work.then(
    () => new Error('It was accepted.'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof TunerError)) {
    throw error;
  }
  return error;
}

describe('hostile checkpoints', () => {
  it.each(hostileCheckpoints)('refuses: $name', async ({ build, code, file, place, message }) => {
    const root = await temporaryFolder();
    const folder = path.join(root, 'model folder ü');
    const outside = path.join(root, 'outside');
    await Promise.all([mkdir(folder), mkdir(outside)]);
    await build(folder, outside);
    const before = await readdir(folder);

    const error = await failure(openCheckpoint(folder));

    expect(error.code).toBe(code);
    expect(error.kind).toBe('input');
    expect(error.details.file).toBe(path.join(folder, file));
    if (place === undefined) {
      expect(error.details.place).toBeUndefined();
    } else {
      expect(error.details.place).toMatch(place);
    }
    expect(error.message).toMatch(message);
    expect(await readdir(folder)).toEqual(before);
  });

  it('differ from checkpoints that open', async () => {
    const root = await temporaryFolder();
    const single = path.join(root, 'single');
    const sharded = path.join(root, 'sharded');
    await Promise.all([mkdir(single), mkdir(sharded)]);
    await writeSingleFile(single, safetensorsBytes({ weight: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } }, 8));
    await writeSharded(sharded);
    expect((await openCheckpoint(single)).tensors.size).toBe(1);
    expect([...(await openCheckpoint(sharded)).tensors.keys()]).toEqual(['a', 'b']);
  });

  it.skipIf(process.platform === 'win32')('does not wait for a writer of a named pipe', async () => {
    const folder = await temporaryFolder();
    await writeSingleFile(folder, Buffer.alloc(0));
    for (const name of ['model.safetensors', 'config.json']) {
      await rm(path.join(folder, name));
      execFileSync('mkfifo', [path.join(folder, name)]);
      const error = await failure(openCheckpoint(folder));
      expect(error.message).toMatch(/regular file/);
      expect(error.details.file).toBe(path.join(folder, name));
    }
  });

  it('says which file does not exist', async () => {
    const folder = await temporaryFolder();
    const missing = path.join(folder, 'nothing here');
    expect(await failure(openCheckpoint(missing))).toMatchObject({ code: 'fileNotFound', details: { file: missing } });
    const file = path.join(folder, 'notes.txt');
    await writeFile(file, 'x');
    expect(await failure(openCheckpoint(file))).toMatchObject({ code: 'notACheckpoint', details: { file } });
  });
});

describe('damaged headers', () => {
  /** Mulberry32: the same damage in every run. */
  function randomNumbers(seed: number): () => number {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  it('are refused with a TunerError or read consistently, never with another error', async () => {
    const folder = await temporaryFolder();
    const file = path.join(folder, 'model.safetensors');
    const original = safetensorsBytes(
      {
        __metadata__: { format: 'pt' },
        'layers.0.gate.weight': { dtype: 'BF16', shape: [4, 8], data_offsets: [0, 64] },
        'layers.0.experts.weight': { dtype: 'F32', shape: [2, 3, 4], data_offsets: [64, 160] },
        empty: { dtype: 'U8', shape: [0, 5], data_offsets: [160, 160] },
      },
      160,
    );
    const headerEnd = original.byteLength - 160;
    const random = randomNumbers(1);
    let refused = 0;
    for (let round = 0; round < 1500; round += 1) {
      const damaged = Buffer.from(original);
      for (let flips = 1 + Math.floor(random() * 3); flips > 0; flips -= 1) {
        damaged[Math.floor(random() * headerEnd)]! ^= 1 << Math.floor(random() * 8);
      }
      const cut = random() < 0.1 ? Math.floor(random() * damaged.byteLength) : damaged.byteLength;
      await writeFile(file, damaged.subarray(0, cut));
      try {
        const { tensors, fileBytes } = await readSafetensorsHeader(file);
        const covered = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
        expect(covered).toBe(160);
        expect(fileBytes).toBe(original.byteLength);
      } catch (error) {
        expect(error).toBeInstanceOf(TunerError);
        expect(['malformedSafetensors', 'unsupportedDtype']).toContain((error as TunerError).code);
        expect((error as TunerError).details.file).toBe(file);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(1000);
  }, 30_000);
});
