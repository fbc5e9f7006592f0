import { closeSync, openSync, readv } from 'node:fs';
import { promisify } from 'node:util';
import type { TensorEntry } from '../checkpoint/types';

const readInto = promisify(readv);

/** Bytes that are read into the same memory again and again; its content is never looked at. */
const scratchBytes = 2 ** 20;

/** Most buffers of one read: what systems allow. */
const buffersPerRead = 1024;

/**
 * Reads byte ranges of files so that the system keeps them in memory: whoever maps them next does not wait for the disk. It runs on
 * a thread of its own, also while a graph blocks this one, and is a favour: nothing depends on it, and it tells no errors.
 */
export class PageReader {
  private readonly scratch = new Uint8Array(scratchBytes);
  private last: Promise<void> = Promise.resolve();

  /** Starts to read the stored tensors; ranges that follow each other are read at once. */
  read(entries: readonly TensorEntry[]): void {
    const ranges = joinedRanges(entries);
    this.last = this.last.then(() => this.readRanges(ranges)).catch(() => undefined);
  }

  /** Resolves when everything asked for so far is read. */
  done(): Promise<void> {
    return this.last;
  }

  private async readRanges(ranges: readonly FileRange[]): Promise<void> {
    for (const { file, start, end } of ranges) {
      const descriptor = openSync(file, 'r');
      try {
        for (let at = start; at < end;) {
          const { bytesRead } = await readInto(descriptor, this.buffers(end - at), at);
          if (bytesRead === 0) {
            return;
          }
          at += bytesRead;
        }
      } finally {
        closeSync(descriptor);
      }
    }
  }

  /** The scratch memory as often as it takes for `bytes`, as far as one read goes. */
  private buffers(bytes: number): Uint8Array[] {
    const whole = Math.min(buffersPerRead, Math.floor(bytes / scratchBytes));
    return whole === 0 ? [this.scratch.subarray(0, bytes)] : Array<Uint8Array>(whole).fill(this.scratch);
  }
}

interface FileRange {
  readonly file: string;
  readonly start: number;
  end: number;
}

/** Ranges in the order of the files; gaps below the scratch size are read along. */
function joinedRanges(entries: readonly TensorEntry[]): FileRange[] {
  const sorted = [...entries].sort(
    (one, other) => one.file.localeCompare(other.file) || one.byteOffset - other.byteOffset,
  );
  const ranges: FileRange[] = [];
  for (const { file, byteOffset, byteLength } of sorted) {
    const last = ranges.at(-1);
    if (last !== undefined && last.file === file && byteOffset <= last.end + scratchBytes) {
      last.end = Math.max(last.end, byteOffset + byteLength);
    } else {
      ranges.push({ file, start: byteOffset, end: byteOffset + byteLength });
    }
  }
  return ranges;
}
