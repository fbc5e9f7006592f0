import { dtypeBytes } from '../../checkpoint/types';
import type { BlockQuantizedWeight } from '../../families/specification';
import { TunerError } from '../../protocol/errors';
import { formBytes, type RoundedBytes, type RoundedForm, type RoundingTask } from './roundingTask';
import { rowEntry } from './roundRows';

/** Bytes of the source that one task reads where a weight can be read in parts. */
const taskBytes = 4 * 2 ** 20;

/** Rows of a task are a multiple of this, so that words of codes of any bits across rows (16, 10, 8, 6, 5, 4) begin with a task. */
const rowStep = 240;

/** A weight that is rounded while it is written: the forms that are wanted of it, and the tasks that give them. */
export class RoundedParts {
  /** Bytes of every form as a whole. */
  readonly byteLengths: readonly number[];
  /** Number of tasks. */
  readonly count: number;
  private readonly rowsOfTask: number;
  /** Digests of what was computed, per task and form. */
  private readonly digests: (readonly number[] | undefined)[] = [];

  /** @param weight with a rounding */
  constructor(
    readonly weight: BlockQuantizedWeight,
    private readonly forms: readonly RoundedForm[],
  ) {
    const { rounding, rows, columns } = weight;
    if (rounding === undefined) {
      throw new TunerError('internal', 'A weight that lies in files is not rounded again.', {
        place: weight.codes.name,
      });
    }
    const entry = rowEntry(rounding);
    const most = entry === undefined ? rows : taskBytes / (columns * dtypeBytes[entry.dtype]);
    this.rowsOfTask = entry === undefined ? rows : Math.max(1, Math.floor(most / rowStep)) * rowStep;
    this.count = Math.ceil(rows / this.rowsOfTask);
    this.byteLengths = forms.map((form) => formBytes(form, weight, rows));
  }

  task(at: number): RoundingTask {
    const from = at * this.rowsOfTask;
    const to = Math.min(this.weight.rows, from + this.rowsOfTask);
    return { weight: this.weight, from, to, forms: this.forms };
  }

  /** Weights that one task holds in memory at most. */
  get taskWeights(): number {
    return Math.min(this.rowsOfTask, this.weight.rows) * this.weight.columns;
  }

  /** Where the result of a task begins in a form. */
  offset(at: number, form: number): number {
    return formBytes(this.forms[form]!, this.weight, Math.min(this.weight.rows, at * this.rowsOfTask));
  }

  /** Bytes that a task gives of a form. */
  byteLength(at: number, form: number): number {
    return (at === this.count - 1 ? this.byteLengths[form]! : this.offset(at + 1, form)) - this.offset(at, form);
  }

  /**
   * Keeps what was computed as digests, for whoever reads it back.
   * @throws TunerError `internal` for a result of another length
   */
  remember(at: number, results: readonly RoundedBytes[]): void {
    for (const [form, { bytes }] of results.entries()) {
      if (bytes.byteLength !== this.byteLength(at, form)) {
        const wanted = this.byteLength(at, form);
        throw new TunerError('internal', `${bytes.byteLength} bytes were computed instead of ${wanted}.`, {
          place: this.weight.codes.name,
        });
      }
    }
    this.digests[at] = results.map(({ digest }) => digest);
  }

  /** CRC-32 of a form of a task; undefined where nothing was computed yet. */
  digest(at: number, form: number): number | undefined {
    return this.digests[at]?.[form];
  }
}
