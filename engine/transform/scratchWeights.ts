import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { writeError } from '../checkpoint/atomicFile';
import { dtypeBytes, type Dtype, type TensorEntry } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';

/** Offsets of tensors are multiples of this, so that graphs can map them. */
const alignment = 64;

/**
 * Weights that a plan computes (merged, rounded), in a temporary file outside the checkpoint, where graphs and exports read them
 * like any other byte range. Dispose it to remove the file.
 */
export class ScratchWeights {
  private folder: Promise<string> | undefined;
  private handle: Promise<FileHandle> | undefined;
  private end = 0;

  /** @param parent folder to create the temporary one in */
  constructor(private readonly parent = os.tmpdir()) {}

  /**
   * Appends one tensor.
   * @param name for messages and for the name of the entry; it need not be unique
   * @throws TunerError `writeFailed`, also when the disk is full
   */
  async write(name: string, dtype: Dtype, shape: readonly number[], bytes: Uint8Array): Promise<TensorEntry> {
    const { handle, entry } = await this.reserve(name, dtype, shape);
    if (bytes.byteLength !== entry.byteLength) {
      const wanted = entry.byteLength;
      throw new TunerError('internal', `${bytes.byteLength} bytes were computed for ${name} instead of ${wanted}.`);
    }
    try {
      let written = 0;
      while (written < bytes.byteLength) {
        const place = entry.byteOffset + written;
        const { bytesWritten } = await handle.write(bytes, written, bytes.byteLength - written, place);
        written += bytesWritten;
      }
    } catch (error) {
      throw writeError(error, entry.file);
    }
    return entry;
  }

  /**
   * Takes the place of a tensor that is written later, through the handle that is given.
   * @throws TunerError `writeFailed`
   */
  async reserve(
    name: string,
    dtype: Dtype,
    shape: readonly number[],
  ): Promise<{ readonly entry: TensorEntry; readonly handle: FileHandle }> {
    this.folder ??= mkdtemp(path.join(this.parent, 'moe-tuner-weights-'));
    const file = path.join(await this.folder, 'weights');
    try {
      this.handle ??= open(file, 'w');
      const handle = await this.handle;
      const byteOffset = Math.ceil(this.end / alignment) * alignment;
      const byteLength = shape.reduce((product, size) => product * size, dtypeBytes[dtype]);
      this.end = byteOffset + byteLength;
      return { entry: { name, dtype, shape, file, byteOffset, byteLength }, handle };
    } catch (error) {
      throw writeError(error, file);
    }
  }

  async dispose(): Promise<void> {
    const [handle, folder] = [await this.handle?.catch(() => undefined), await this.folder?.catch(() => undefined)];
    this.handle = undefined;
    this.folder = undefined;
    this.end = 0;
    await handle?.close();
    if (folder !== undefined) {
      await rm(folder, { recursive: true, force: true });
    }
  }
}
