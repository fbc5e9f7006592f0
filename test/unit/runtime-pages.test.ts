import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { TensorEntry } from '../../engine/checkpoint/types';
import { PageReader } from '../../engine/runtime/pageReader';

const scratch = mkdtempSync(path.join(tmpdir(), 'runtime-pages-'));

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

function entry(file: string, byteOffset: number, byteLength: number): TensorEntry {
  return { name: `${file} ${byteOffset}`, dtype: 'U8', shape: [byteLength], file, byteOffset, byteLength };
}

/** Bytes that this process has read so far, as Linux counts them. */
function bytesRead(): number {
  return Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

test.runIf(process.platform === 'linux')(
  'every byte of the tensors is read, each once, and gaps are left out',
  async () => {
    const file = path.join(scratch, 'weights');
    const megabyte = 2 ** 20;
    writeFileSync(file, new Uint8Array(40 * megabyte));
    const reader = new PageReader();
    const before = bytesRead();
    reader.read([
      entry(file, 30 * megabyte, 10 * megabyte),
      entry(file, 7, 3 * megabyte),
      entry(file, 3 * megabyte, 99),
    ]);
    await reader.done();
    const read = bytesRead() - before;
    expect(read).toBeGreaterThanOrEqual(13 * megabyte);
    expect(read).toBeLessThan(14 * megabyte);
  },
);

test('a file that is gone or too short disturbs nobody, and later ones are read', async () => {
  const reader = new PageReader();
  const file = path.join(scratch, 'short');
  writeFileSync(file, 'short');
  reader.read([entry(path.join(scratch, 'gone'), 0, 10)]);
  reader.read([entry(file, 0, 10)]);
  await expect(reader.done()).resolves.toBeUndefined();
});
