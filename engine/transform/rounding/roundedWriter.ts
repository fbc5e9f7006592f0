import type { FileHandle } from 'node:fs/promises';
import type { RoundedParts } from './roundedParts';
import type { Rounder } from './roundingTask';

/** Weights that are under way at once, however many tasks may wait: large matrices that cannot be read in parts come one by one. */
const mostWeights = 32 * 2 ** 20;

/** Where the forms of a weight begin in the file; undefined where the file does not have one. */
export type FormPositions = readonly (number | undefined)[];

/**
 * Rounds weights and writes their forms to their places of a file. Several tasks are under way at once, one reading while another
 * computes and a third is written; the places do not depend on which is done first. Call {@link settle} before the file is closed.
 */
export class RoundedWriter {
  private readonly pending = new Set<Promise<void>>();
  private weights = 0;
  private failure: { readonly error: unknown } | undefined;

  /** @param done is told of bytes when they are written; it may throw to end it */
  constructor(
    private readonly handle: FileHandle,
    private readonly rounder: Rounder,
    private readonly done: (bytes: number) => void,
  ) {}

  /** Starts all tasks of a weight, waiting while enough of them are under way. @throws what a task before threw */
  async add(parts: RoundedParts, positions: FormPositions): Promise<void> {
    for (let at = 0; at < parts.count; at += 1) {
      await this.room(parts.taskWeights);
      this.weights += parts.taskWeights;
      const task = this.carryOut(parts, at, positions).catch((error: unknown) => {
        this.failure ??= { error };
      });
      this.pending.add(task);
      void task.finally(() => {
        this.pending.delete(task);
        this.weights -= parts.taskWeights;
      });
    }
  }

  /** Waits for everything that was started, whatever became of it. @throws what a task threw */
  async settle(): Promise<void> {
    await this.abandon();
    this.assertGoesOn();
  }

  /** Waits for everything that was started, and forgets its failures: for whoever failed already. */
  async abandon(): Promise<void> {
    await Promise.all(this.pending);
  }

  private async room(weights: number): Promise<void> {
    this.assertGoesOn();
    const full = () => this.pending.size >= this.rounder.capacity || this.weights + weights > mostWeights;
    while (this.pending.size > 0 && full()) {
      await Promise.race(this.pending);
      this.assertGoesOn();
    }
  }

  private async carryOut(parts: RoundedParts, at: number, positions: FormPositions): Promise<void> {
    const results = await this.rounder.run(parts.task(at));
    parts.remember(at, results);
    for (const [form, { bytes }] of results.entries()) {
      const position = positions[form];
      if (position !== undefined && this.failure === undefined) {
        await this.write(bytes, position + parts.offset(at, form));
        this.done(bytes.byteLength);
      }
    }
  }

  private async write(bytes: Uint8Array, at: number): Promise<void> {
    for (let done = 0; done < bytes.byteLength;) {
      const { bytesWritten } = await this.handle.write(bytes, done, bytes.byteLength - done, at + done);
      done += bytesWritten;
    }
  }

  private assertGoesOn(): void {
    if (this.failure !== undefined) {
      throw this.failure.error;
    }
  }
}
