import { open, type FileHandle } from 'node:fs/promises';
import { TunerError } from '../protocol/errors';
import type { StoredPiece, TensorPiece } from '../transform/tensorRewrite';

/** Bytes of one read and one write. Two such buffers are in memory: one is filled while the other is written. */
const bufferBytes = 16 * 2 ** 20;

/**
 * Writes a header and the pieces after it: neighbouring pieces are read together, and reading goes on while the bytes before are
 * written.
 * @param written is told how many bytes are done; it may throw to end it
 * @throws TunerError `malformedSafetensors` when a source became shorter; errors of the system
 */
export async function streamWeights(
  header: Uint8Array,
  pieces: readonly TensorPiece[],
  handle: FileHandle,
  written: (bytes: number) => void,
): Promise<void> {
  const sources = new SourceFiles();
  const output = new DoubleBuffer(handle, written);
  try {
    await output.append(header);
    for (const piece of joinNeighbours(pieces)) {
      if (piece.kind === 'stored') {
        await copyPiece(piece, await sources.open(piece.file), output);
      } else {
        await computePiece(piece, output);
      }
    }
    await output.end();
  } finally {
    await sources.close();
  }
}

/** Pieces that lie one after the other in one file become one. */
export function* joinNeighbours(pieces: readonly TensorPiece[]): Generator<TensorPiece> {
  let open: StoredPiece | undefined;
  for (const piece of pieces) {
    const follows =
      open !== undefined &&
      piece.kind === 'stored' &&
      piece.file === open.file &&
      piece.byteOffset === open.byteOffset + open.byteLength;
    if (follows) {
      open = { ...open!, byteLength: open!.byteLength + piece.byteLength };
      continue;
    }
    if (open !== undefined) {
      yield open;
    }
    open = piece.kind === 'stored' ? piece : undefined;
    if (piece.kind === 'computed') {
      yield piece;
    }
  }
  if (open !== undefined) {
    yield open;
  }
}

async function copyPiece(piece: StoredPiece, source: FileHandle, output: DoubleBuffer): Promise<void> {
  let position = piece.byteOffset;
  const end = piece.byteOffset + piece.byteLength;
  while (position < end) {
    const space = await output.space(end - position);
    const { bytesRead } = await source.read(space, 0, space.byteLength, position);
    if (bytesRead === 0) {
      throw new TunerError('malformedSafetensors', `The file ends ${end - position} bytes too early.`, {
        file: piece.file,
        wayOut: 'Something changes the checkpoint: end it and try again.',
      });
    }
    output.fill(bytesRead);
    position += bytesRead;
  }
}

async function computePiece(piece: Extract<TensorPiece, { kind: 'computed' }>, output: DoubleBuffer): Promise<void> {
  let length = 0;
  for await (const chunk of piece.produce()) {
    length += chunk.byteLength;
    await output.append(chunk);
  }
  if (length !== piece.byteLength) {
    throw new TunerError('internal', `${length} bytes were computed instead of ${piece.byteLength}.`);
  }
}

/** Files that pieces come from, each opened once. */
class SourceFiles {
  private readonly handles = new Map<string, FileHandle>();

  async open(file: string): Promise<FileHandle> {
    const known = this.handles.get(file);
    if (known !== undefined) {
      return known;
    }
    const handle = await open(file, 'r');
    this.handles.set(file, handle);
    return handle;
  }

  async close(): Promise<void> {
    await Promise.all([...this.handles.values()].map((handle) => handle.close()));
  }
}

/** Collects bytes in one buffer while the other one is written. */
class DoubleBuffer {
  private filling = Buffer.allocUnsafeSlow(bufferBytes);
  private other = Buffer.allocUnsafeSlow(bufferBytes);
  private used = 0;
  private position = 0;
  private pending: Promise<void> = Promise.resolve();

  constructor(
    private readonly handle: FileHandle,
    private readonly written: (bytes: number) => void,
  ) {}

  /** Room for up to `wanted` bytes, at least one; call {@link fill} with what was put into it. */
  async space(wanted: number): Promise<Buffer> {
    if (this.used === this.filling.byteLength) {
      await this.flush();
    }
    return this.filling.subarray(this.used, Math.min(this.filling.byteLength, this.used + wanted));
  }

  fill(bytes: number): void {
    this.used += bytes;
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.byteLength;) {
      const space = await this.space(bytes.byteLength - done);
      space.set(bytes.subarray(done, done + space.byteLength));
      this.fill(space.byteLength);
      done += space.byteLength;
    }
  }

  async end(): Promise<void> {
    await this.flush();
    await this.pending;
  }

  private async flush(): Promise<void> {
    await this.pending;
    this.written(this.position);
    const [bytes, at] = [this.filling.subarray(0, this.used), this.position];
    [this.filling, this.other] = [this.other, this.filling];
    this.position += this.used;
    this.used = 0;
    this.pending = this.write(bytes, at);
    // A failure is thrown by the next flush; until then nobody waits for it.
    this.pending.catch(() => undefined);
  }

  private async write(bytes: Uint8Array, at: number): Promise<void> {
    for (let done = 0; done < bytes.byteLength;) {
      const { bytesWritten } = await this.handle.write(bytes, done, bytes.byteLength - done, at + done);
      done += bytesWritten;
    }
  }
}
