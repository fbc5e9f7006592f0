import { create } from '@bufbuild/protobuf';
import { TensorProto_DataType as DataType, TensorProtoSchema, type TensorProto } from 'onnx-buf';
import type { Dtype, TensorEntry } from '../../checkpoint/types';

/** How a stored dtype crosses the boundary when it is fed: JavaScript tensors know no bfloat16, so its bits travel as integers. */
export const fedTypes: Partial<
  Record<Dtype, { readonly name: 'uint8' | 'uint16' | 'float16' | 'float32'; type: DataType }>
> = {
  U8: { name: 'uint8', type: DataType.UINT8 },
  BF16: { name: 'uint16', type: DataType.UINT16 },
  F16: { name: 'float16', type: DataType.FLOAT16 },
  F32: { name: 'float32', type: DataType.FLOAT },
};

/** Whether all of these tensors can be fed. */
export function canFeed(entries: readonly TensorEntry[]): boolean {
  return entries.every(({ dtype }) => fedTypes[dtype] !== undefined);
}

/** Name of the graph input that takes the weight number `at`. */
export function fedName(at: number): string {
  return `weight_${at}`;
}

/** All 65,536 values of bfloat16 in the order of their bits: looking bits up in it gives their values. */
export function bfloat16Table(): TensorProto {
  return create(TensorProtoSchema, {
    dataType: DataType.BFLOAT16,
    dims: [65_536n],
    rawData: new Uint8Array(Uint16Array.from({ length: 65_536 }, (_, bits) => bits).buffer),
  });
}
