import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { decodeBfloat16, decodeFloat16, decodeFloat8E4M3, decodeFloat8E5M2 } from './decodeValues';

/** A tensor in double precision, row-major. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

const headerSchema = z.record(
  z.string(),
  z.looseObject({
    dtype: z.string().optional(),
    shape: z.array(z.number().int()).optional(),
    data_offsets: z.tuple([z.number().int(), z.number().int()]).optional(),
  }),
);

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Reads every element of one stored type; the second number is the width in bytes. */
const elementReaders: Record<string, readonly [(bytes: DataView, at: number) => number, number]> = {
  F64: [(bytes, at) => bytes.getFloat64(at, true), 8],
  F32: [(bytes, at) => bytes.getFloat32(at, true), 4],
  F16: [(bytes, at) => decodeFloat16(bytes.getUint16(at, true)), 2],
  BF16: [(bytes, at) => decodeBfloat16(bytes.getUint16(at, true)), 2],
  F8_E4M3: [(bytes, at) => decodeFloat8E4M3(bytes.getUint8(at)), 1],
  F8_E5M2: [(bytes, at) => decodeFloat8E5M2(bytes.getUint8(at)), 1],
  I64: [(bytes, at) => Number(bytes.getBigInt64(at, true)), 8],
  I32: [(bytes, at) => bytes.getInt32(at, true), 4],
  U8: [(bytes, at) => bytes.getUint8(at), 1],
};

/** All tensors of one safetensors file in double precision. Only for small files: everything is held in memory. */
export function readTensorFile(file: string): Map<string, Tensor> {
  const bytes = readFileSync(file);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  const header = headerSchema.parse(JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)));
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (entry.dtype === undefined || entry.shape === undefined || entry.data_offsets === undefined) continue;
    const reader = elementReaders[entry.dtype];
    if (reader === undefined) throw new Error(`${file}: ${name} has the unknown type ${entry.dtype}.`);
    const [read, width] = reader;
    const count = entry.shape.reduce((product, length) => product * length, 1);
    const [start, end] = entry.data_offsets;
    if (end - start !== count * width)
      throw new Error(`${file}: ${name} has ${end - start} bytes for ${count} values.`);
    const data = new Float64Array(count);
    for (let index = 0; index < count; index += 1) data[index] = read(view, 8 + headerLength + start + index * width);
    tensors.set(name, { shape: entry.shape, data });
  }
  return tensors;
}

/** All tensors of a checkpoint folder, from one file or from the shards that its index names. */
export function readCheckpointTensors(folder: string): Map<string, Tensor> {
  const index = join(folder, 'model.safetensors.index.json');
  if (!existsSync(index)) return readTensorFile(join(folder, 'model.safetensors'));
  const { weight_map: weightMap } = indexSchema.parse(JSON.parse(readFileSync(index, 'utf8')));
  const shards = [...new Set(Object.values(weightMap))].sort();
  return new Map(shards.flatMap((shard) => [...readTensorFile(join(folder, shard))]));
}
