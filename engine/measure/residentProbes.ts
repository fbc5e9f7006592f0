import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { writeError } from '../checkpoint/atomicFile';
import type { TensorEntry } from '../checkpoint/types';

/** Largest probe inputs that a device keeps beside the weights and what it computes with them, in bytes. */
export const mostResidentBytes = 2 ** 29;

/**
 * Probe inputs in a temporary file, from which a session loads them once for all layers: over a bus they would take a fifth of the
 * time of a layer. Dispose it to remove the file, after the sessions.
 */
export class ResidentProbes {
  /** Numbers of all tokens: parts of it say which of them a run takes. */
  readonly rows: BigInt64Array;

  private constructor(
    private readonly folder: string,
    /** F32 `[tokens, hidden]`. */
    readonly entry: TensorEntry,
  ) {
    this.rows = BigInt64Array.from({ length: entry.shape[0]! }, (_, row) => BigInt(row));
  }

  /** @param values `[tokens, width]`. @throws TunerError `writeFailed`, also when the disk is full */
  static async write(values: Float32Array, width: number): Promise<ResidentProbes> {
    const { byteLength } = values;
    const shape = [values.length / width, width];
    const folder = await mkdtemp(path.join(os.tmpdir(), 'moe-tuner-probes-'));
    const file = path.join(folder, 'probes');
    const probes = new ResidentProbes(folder, { name: 'probes', dtype: 'F32', shape, file, byteOffset: 0, byteLength });
    try {
      await writeFile(file, values);
    } catch (error) {
      await probes.dispose();
      throw writeError(error, file);
    }
    return probes;
  }

  async dispose(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
