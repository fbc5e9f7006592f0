import { mkdtemp, open, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { RuntimeOptions } from '../runtime/session';

/** What measurements of the whole model may use of the machine. */
export interface MachineOptions extends RuntimeOptions {
  /** Bytes of hidden states kept in memory before the rest goes to temporary files. */
  readonly hiddenMemoryBytes?: number | undefined;
}

const defaultHiddenMemory = 2 ** 30;

/**
 * Hidden states of many batches between layers. The first ones stay in memory; what goes beyond the limit is written to
 * temporary files, so that memory does not grow with the amount of text. Dispose it to remove the files.
 */
export class HiddenStore {
  private readonly memory = new Map<string, Float32Array>();
  private readonly spilled = new Map<string, number>();
  private held = 0;
  private folder: Promise<string> | undefined;

  constructor(private readonly limitBytes = defaultHiddenMemory) {}

  /** Bytes that are on disk now. */
  get spilledBytes(): number {
    return [...this.spilled.values()].reduce((sum, length) => sum + length * 4, 0);
  }

  async write(key: string, values: Float32Array): Promise<void> {
    const known = this.memory.get(key);
    if (known !== undefined) {
      this.held -= known.byteLength;
      this.memory.delete(key);
    }
    if (this.held + values.byteLength <= this.limitBytes) {
      this.memory.set(key, values);
      this.held += values.byteLength;
      return;
    }
    const file = await open(await this.fileOf(key), 'w');
    try {
      await file.writeFile(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    } finally {
      await file.close();
    }
    this.spilled.set(key, values.length);
  }

  /** The values written last under the key. */
  async read(key: string): Promise<Float32Array> {
    const held = this.memory.get(key);
    if (held !== undefined) {
      return held;
    }
    const length = this.spilled.get(key);
    if (length === undefined) {
      throw new RangeError(`no hidden states under ${key}`);
    }
    const values = new Float32Array(length);
    const bytes = new Uint8Array(values.buffer);
    const file = await open(await this.fileOf(key), 'r');
    try {
      let position = 0;
      while (position < bytes.length) {
        const { bytesRead } = await file.read(bytes, position, bytes.length - position, position);
        if (bytesRead === 0) {
          throw new RangeError(`hidden states under ${key} were cut short`);
        }
        position += bytesRead;
      }
    } finally {
      await file.close();
    }
    return values;
  }

  async delete(key: string): Promise<void> {
    const known = this.memory.get(key);
    if (known !== undefined) {
      this.held -= known.byteLength;
      this.memory.delete(key);
    }
    if (this.spilled.delete(key)) {
      await rm(await this.fileOf(key), { force: true });
    }
  }

  async dispose(): Promise<void> {
    this.memory.clear();
    this.spilled.clear();
    if (this.folder !== undefined) {
      await rm(await this.folder, { recursive: true, force: true });
    }
  }

  private async fileOf(key: string): Promise<string> {
    this.folder ??= mkdtemp(path.join(os.tmpdir(), 'moe-tuner-hidden-'));
    return path.join(await this.folder, key.replaceAll(/[^\w.-]/g, '_'));
  }
}
