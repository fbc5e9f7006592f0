import { writeError } from '../../checkpoint/atomicFile';
import { dtypeBytes, type Dtype, type TensorEntry } from '../../checkpoint/types';
import type { BlockQuantizedWeight, WeightRounding } from '../../families/specification';
import { storedWidths } from '../../methods/quantize/quantizedMatrix';
import type { ScratchWeights } from '../scratchWeights';
import { RoundedParts } from './roundedParts';
import { RoundedWriter } from './roundedWriter';
import { leaseRounder, type LeasedRounder } from './roundingPool';
import type { RoundedForm } from './roundingTask';

/** Folder name that no file is in: entries of codes that are computed when they are used name files below it. */
const madeFolder = '/moe-tuner:rounded/';

/** Size of a matrix of codes. */
export interface RoundedSize {
  /** Unique among the weights of a model. */
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly group: number;
}

/** A weight whose codes no file has: they are computed whenever it is written. Nothing is read. */
export function roundedWhenUsed(
  rounding: WeightRounding,
  { name, rows, columns, group }: RoundedSize,
): BlockQuantizedWeight {
  const bits = storedWidths[rounding.bits];
  const groups = columns / group;
  const entry = (part: string, dtype: Dtype, shape: readonly number[]): TensorEntry => ({
    name: `${name}.${part}`,
    dtype,
    shape,
    file: `${madeFolder}${name}.${part}`,
    byteOffset: 0,
    byteLength: shape.reduce((product, size) => product * size, dtypeBytes[dtype]),
  });
  return {
    storage: 'block-quantized',
    bits,
    group,
    rows,
    columns,
    codes: entry('codes', 'U8', [rows, groups, (group * bits) / 8]),
    scales: entry('scales', 'F32', [rows, groups]),
    ...(rounding.symmetric && rounding.bits === bits ? {} : { zeroPoints: entry('zero_points', 'U8', [rows, groups]) }),
    rounding,
  };
}

/**
 * Rounds weights into temporary files, where graphs can map them, several at once. The places are known before the codes are: call
 * {@link settle} before they are read, and dispose it in any case.
 */
export class KeptRoundings {
  private readonly rounder: LeasedRounder = leaseRounder();
  private writer: RoundedWriter | undefined;
  private file = '';

  constructor(private readonly scratch: ScratchWeights) {}

  /** Starts to round a weight. @throws TunerError `writeFailed`, and what a weight before threw */
  async keep(rounding: WeightRounding, size: RoundedSize): Promise<BlockQuantizedWeight> {
    const weight = roundedWhenUsed(rounding, size);
    const forms: RoundedForm[] = [
      { form: 'codes' },
      { form: 'scales', dtype: 'F32' },
      ...(weight.zeroPoints === undefined ? [] : [{ form: 'zeroPoints' as const }]),
    ];
    const codes = await this.reserve(weight.codes);
    const scales = await this.reserve(weight.scales);
    const zeroPoints = weight.zeroPoints === undefined ? undefined : await this.reserve(weight.zeroPoints);
    const positions = [codes, scales, zeroPoints].map((entry) => entry?.byteOffset);
    await this.orWriteError(() => this.writer!.add(new RoundedParts(weight, forms), positions));
    return { ...weight, codes, scales, ...(zeroPoints === undefined ? {} : { zeroPoints }), rounding: undefined };
  }

  /** Waits until all codes are written. @throws TunerError `writeFailed`, and what a weight threw */
  async settle(): Promise<void> {
    await this.orWriteError(async () => this.writer?.settle());
  }

  async dispose(): Promise<void> {
    await this.writer?.abandon();
    await this.rounder.release();
  }

  private async reserve({ name, dtype, shape }: TensorEntry): Promise<TensorEntry> {
    const { entry, handle } = await this.scratch.reserve(name, dtype, shape);
    this.writer ??= new RoundedWriter(handle, this.rounder, () => undefined);
    this.file = entry.file;
    return entry;
  }

  private async orWriteError(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      throw writeError(error, this.file);
    }
  }
}
