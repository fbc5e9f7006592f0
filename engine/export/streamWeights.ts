import { open, type FileHandle } from 'node:fs/promises';
import { TunerError } from '../protocol/errors';
import type { RoundedParts } from '../transform/rounding/roundedParts';
import { RoundedWriter } from '../transform/rounding/roundedWriter';
import { leaseRounder } from '../transform/rounding/roundingPool';
import type { StoredPiece, TensorPiece } from '../transform/tensorRewrite';

/** Bytes of one read and one write. Two such buffers are in memory: one is filled while the other is written. */
const bufferBytes = 16 * 2 ** 20;

/**
 * Writes a header and the pieces after it: neighbouring pieces are read together, and reading goes on while the bytes before are
 * written. Weights that are rounded on the way come to their places while others are read, computed and written.
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
  let done = 0;
  const count = (bytes: number) => {
    done += bytes;
    written(done);
  };
  const output = new DoubleBuffer(handle, count);
  const places = formPlaces(header.byteLength, pieces);
  const rounder = leaseRounder();
  const rounded = new RoundedWriter(handle, rounder, count);
  try {
    await output.append(header);
    for (const piece of joinNeighbours(pieces)) {
      switch (piece.kind) {
        case 'stored':
          await copyPiece(piece, await sources.open(piece.file), output);
          break;
        case 'computed':
          await computePiece(piece, output);
          break;
        case 'rounded': {
          // All forms of a weight come with the first of them.
          const positions = places.get(piece.parts);
          places.delete(piece.parts);
          await output.skip(piece.byteLength);
          await (positions === undefined ? undefined : rounded.add(piece.parts, positions));
        }
      }
    }
    await output.end();
    await rounded.settle();
  } finally {
    await rounded.abandon();
    await output.abandon();
    await rounder.release();
    await sources.close();
  }
}

/** Where the forms of every weight that is rounded begin in the file. */
function formPlaces(start: number, pieces: readonly TensorPiece[]): Map<RoundedParts, (number | undefined)[]> {
  const places = new Map<RoundedParts, (number | undefined)[]>();
  let position = start;
  for (const piece of pieces) {
    if (piece.kind === 'rounded') {
      const known = places.get(piece.parts) ?? [];
      known[piece.form] = position;
      places.set(piece.parts, known);
    }
    position += piece.byteLength;
  }
  return places;
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
    if (piece.kind !== 'stored') {
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

  /** @param written is told of bytes that are on their way */
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

  /** Leaves out bytes that somebody else writes. */
  async skip(bytes: number): Promise<void> {
    if (this.used > 0) {
      await this.flush();
    }
    this.position += bytes;
  }

  async end(): Promise<void> {
    await this.flush();
    await this.pending;
  }

  /** Waits for a write that is under way, whatever becomes of it: for whoever failed already. */
  async abandon(): Promise<void> {
    await this.pending.catch(() => undefined);
  }

  private async flush(): Promise<void> {
    await this.pending;
    this.written(this.used);
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
