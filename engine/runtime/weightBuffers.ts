import { closeSync, openSync, read } from 'node:fs';
import { promisify } from 'node:util';
import type { TensorEntry } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';

/** Values of stored tensors in host memory, as their bits. */
export type WeightValues = Uint8Array | Uint16Array | Float32Array;

/**
 * Memory for the stored tensors of one layer, which is filled in the background: reads run on threads of their own, also while a graph
 * blocks this one. Memory is kept for the next layer of the same shape.
 */
export class WeightBuffers {
  private values: WeightValues[] = [];
  private reading: { readonly entries: readonly TensorEntry[]; readonly done: Promise<void> } | undefined;

  /** Starts to read; errors are those of {@link get}. Must not be called while the values are in use. */
  read(entries: readonly TensorEntry[]): void {
    const fits = entries.length === this.values.length && entries.every(sameSize(this.values));
    if (!fits) {
      this.values = entries.map(allocate);
    }
    const { values } = this;
    const before = this.reading?.done.catch(() => undefined);
    const done = before === undefined ? readAll(entries, values) : before.then(() => readAll(entries, values));
    done.catch(() => undefined);
    this.reading = { entries, done };
  }

  holds(entries: readonly TensorEntry[]): boolean {
    const { reading } = this;
    return (
      reading !== undefined &&
      reading.entries.length === entries.length &&
      reading.entries.every(
        ({ file, byteOffset }, at) => file === entries[at]!.file && byteOffset === entries[at]!.byteOffset,
      )
    );
  }

  /** The values, once they are read. @throws TunerError `malformedSafetensors` when the file became shorter */
  async get(): Promise<readonly WeightValues[]> {
    await this.reading?.done;
    return this.values;
  }

  /** Waits for reads that are under way and gives the memory back. */
  async dispose(): Promise<void> {
    await this.reading?.done.catch(() => undefined);
    this.reading = undefined;
    this.values = [];
  }
}

function sameSize(values: readonly WeightValues[]): (entry: TensorEntry, at: number) => boolean {
  return ({ byteLength }, at) => values[at]!.byteLength === byteLength;
}

function allocate({ dtype, byteLength }: TensorEntry): WeightValues {
  if (dtype === 'F32') {
    return new Float32Array(byteLength / 4);
  }
  return dtype === 'U8' ? new Uint8Array(byteLength) : new Uint16Array(byteLength / 2);
}

const readBytes = promisify(read);

/** Asks for everything at once and at once: the threads that read then need nothing from this one until they are done. */
async function readAll(entries: readonly TensorEntry[], values: readonly WeightValues[]): Promise<void> {
  const opened = new Map<string, number>();
  try {
    for (const { file } of entries) {
      if (!opened.has(file)) {
        opened.set(file, openSync(file, 'r'));
      }
    }
    await Promise.all(entries.map((entry, at) => readEntry(opened.get(entry.file)!, entry, values[at]!)));
  } finally {
    opened.forEach((descriptor) => closeSync(descriptor));
  }
}

async function readEntry(descriptor: number, entry: TensorEntry, values: WeightValues): Promise<void> {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await readBytes(descriptor, bytes, at, bytes.length - at, entry.byteOffset + at);
    if (bytesRead === 0) {
      throw new TunerError('malformedSafetensors', `The file ends inside the tensor ${entry.name}.`, {
        file: entry.file,
        place: entry.name,
      });
    }
    at += bytesRead;
  }
}
