import { open, type FileHandle } from 'node:fs/promises';
import { fillFromFile } from '../checkpoint/readTensor';
import { fileAccessError, nonBlockingRead } from '../checkpoint/textFile';
import type { TensorEntry } from '../checkpoint/types';

/**
 * Reads tensors in a known order, the next one while the caller works on the one before: two buffers, every file opened once.
 * Dispose it.
 */
export class ReadAhead {
  private readonly handles = new Map<string, Promise<FileHandle>>();
  private readonly buffers: (Uint8Array | undefined)[] = [undefined, undefined];
  private readonly most: number;
  private at = 0;
  private pending: Promise<Uint8Array> | undefined;

  constructor(private readonly entries: readonly TensorEntry[]) {
    this.most = entries.reduce((most, { byteLength }) => Math.max(most, byteLength), 0);
  }

  /**
   * Bytes of the next tensor, until the next call.
   * @throws TunerError `fileNotFound`, `malformedSafetensors`
   */
  async next(): Promise<Uint8Array> {
    const bytes = await (this.pending ?? this.read(this.at));
    this.at += 1;
    this.pending = this.at < this.entries.length ? this.read(this.at) : undefined;
    // A failure is thrown by the next call; until then nobody waits for it.
    this.pending?.catch(() => undefined);
    return bytes;
  }

  async dispose(): Promise<void> {
    await this.pending?.catch(() => undefined);
    const opened = await Promise.allSettled([...this.handles.values()]);
    this.handles.clear();
    for (const result of opened) {
      if (result.status === 'fulfilled') {
        await result.value.close();
      }
    }
  }

  private async read(position: number): Promise<Uint8Array> {
    const { file, byteOffset, byteLength, name } = this.entries[position]!;
    this.buffers[position % 2] ??= new Uint8Array(this.most);
    const target = this.buffers[position % 2]!.subarray(0, byteLength);
    let handle = this.handles.get(file);
    if (handle === undefined) {
      handle = open(file, nonBlockingRead);
      this.handles.set(file, handle);
    }
    try {
      await fillFromFile(await handle, target, byteOffset, file, name);
    } catch (error) {
      throw fileAccessError(error, file);
    }
    return target;
  }
}
