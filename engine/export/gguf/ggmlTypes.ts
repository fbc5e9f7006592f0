import { TunerError } from '../../protocol/errors';

/** Number of a type in files, and the weights and bytes of one of its blocks (`enum ggml_type` of ggml.h, ggml-common.h). */
export const ggmlTypes = {
  F32: { id: 0, weights: 1, bytes: 4 },
  F16: { id: 1, weights: 1, bytes: 2 },
  Q4_0: { id: 2, weights: 32, bytes: 18 },
  Q4_1: { id: 3, weights: 32, bytes: 20 },
  Q5_0: { id: 6, weights: 32, bytes: 22 },
  Q5_1: { id: 7, weights: 32, bytes: 24 },
  Q8_0: { id: 8, weights: 32, bytes: 34 },
  Q2_K: { id: 10, weights: 256, bytes: 84 },
  Q3_K: { id: 11, weights: 256, bytes: 110 },
  Q4_K: { id: 12, weights: 256, bytes: 144 },
  Q5_K: { id: 13, weights: 256, bytes: 176 },
  Q6_K: { id: 14, weights: 256, bytes: 210 },
  BF16: { id: 30, weights: 1, bytes: 2 },
  MXFP4: { id: 39, weights: 32, bytes: 17 },
} as const;

export type GgmlType = keyof typeof ggmlTypes;

/** Bytes of a row of weights. @throws TunerError `internal` where blocks do not divide it */
export function rowBytes(type: GgmlType, columns: number): number {
  const { weights, bytes } = ggmlTypes[type];
  if (columns % weights !== 0) {
    throw new TunerError('internal', `${columns} weights are no whole blocks of ${type}.`);
  }
  return (columns / weights) * bytes;
}

/** Whether rows of this length can have the type. */
export function fitsRows(type: GgmlType, columns: number): boolean {
  return columns % ggmlTypes[type].weights === 0;
}
