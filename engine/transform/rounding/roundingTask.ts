import type { FloatDtype } from '../../checkpoint/encodeDtype';
import { dtypeBytes } from '../../checkpoint/types';
import type { BlockQuantizedWeight } from '../../families/specification';
import { codeBlockBytes, codeBlockWeights, type CodeType } from '../../methods/quantize/ggmlBlocks';
import { codesPerWord } from '../../methods/quantize/int32Packing';

/** Bytes that a rounded weight can be asked for. */
export type RoundedForm =
  /** As in `BlockQuantizedWeight`. */
  | { readonly form: 'codes' }
  | { readonly form: 'scales'; readonly dtype: 'F32' | 'F16' }
  | { readonly form: 'zeroPoints' }
  /** In 32-bit words, along rows and across them. */
  | { readonly form: 'codeWords'; readonly bits: number }
  | { readonly form: 'zeroPointWords'; readonly bits: number }
  /** Blocks of ggml. */
  | { readonly form: 'blocks'; readonly type: CodeType; readonly factor: number }
  /** The weights that the codes stand for, times a factor. */
  | { readonly form: 'values'; readonly dtype: FloatDtype; readonly factor: number };

/** Some rows of a weight to be rounded, as data that another thread can be given. */
export interface RoundingTask {
  readonly weight: BlockQuantizedWeight;
  readonly from: number;
  readonly to: number;
  readonly forms: readonly RoundedForm[];
}

/** One form of the rows of a task. */
export interface RoundedBytes {
  readonly bytes: Uint8Array;
  /** CRC-32 of the bytes. */
  readonly digest: number;
}

/** Carries tasks out, here or in other threads. */
export interface Rounder {
  /** How many tasks may be under way at once without waiting for each other. */
  readonly capacity: number;
  /**
   * @returns one result per form of the task
   * @throws TunerError `fileNotFound`, `malformedSafetensors`, `outOfMemory`
   */
  run(task: RoundingTask): Promise<readonly RoundedBytes[]>;
}

/** Bytes of the first rows of a weight in a form. */
export function formBytes(form: RoundedForm, weight: BlockQuantizedWeight, rows: number): number {
  const { columns, group, bits } = weight;
  const groups = columns / group;
  switch (form.form) {
    case 'codes':
      return (rows * columns * bits) / 8;
    case 'scales':
      return rows * groups * dtypeBytes[form.dtype];
    case 'zeroPoints':
      return rows * groups;
    case 'codeWords':
      return 4 * rows * Math.ceil(columns / codesPerWord(form.bits));
    case 'zeroPointWords':
      return 4 * Math.ceil(rows / codesPerWord(form.bits)) * groups;
    case 'blocks':
      return ((rows * columns) / codeBlockWeights) * codeBlockBytes[form.type];
    case 'values':
      return rows * columns * dtypeBytes[form.dtype];
  }
}
