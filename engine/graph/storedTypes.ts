import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { Dtype, TensorEntry } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';

/** How stored dtypes are called in ONNX. */
export const storedTypes: Partial<Record<Dtype, DataType>> = {
  F32: DataType.FLOAT,
  F16: DataType.FLOAT16,
  BF16: DataType.BFLOAT16,
  F64: DataType.DOUBLE,
  F8_E4M3: DataType.FLOAT8E4M3FN,
  F8_E5M2: DataType.FLOAT8E5M2,
  U8: DataType.UINT8,
  I64: DataType.INT64,
  I32: DataType.INT32,
};

/** The ONNX type of a stored tensor. @throws TunerError `unsupportedDtype` for dtypes ONNX cannot hold */
export function storedType({ dtype, file, name }: TensorEntry): DataType {
  const type = storedTypes[dtype];
  if (type === undefined) {
    throw new TunerError('unsupportedDtype', `The dtype ${dtype} cannot be computed with.`, {
      file,
      place: name,
      wayOut: 'Convert the checkpoint to BF16, F16 or F32 first.',
    });
  }
  return type;
}
