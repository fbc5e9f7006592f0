import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';

const bytesOf = { BF16: 2, F32: 4, F8_E4M3: 1, U8: 1, I8: 1, I32: 4 } as const;

/** A tensor of zeros: name, element type, shape. */
export type ZeroTensor = readonly [name: string, dtype: keyof typeof bytesOf, shape: readonly number[]];

/** Writes a safetensors file of zeros that takes no space on file systems with sparse files, however large it is. */
export function writeSparseSafetensors(file: string, tensors: readonly ZeroTensor[]): void {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, dtype, shape] of tensors) {
    const bytes = shape.reduce((product, size) => product * size, bytesOf[dtype]);
    header[name] = { dtype, shape, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  const text = Buffer.from(JSON.stringify(header), 'utf8');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const descriptor = openSync(file, 'w');
  writeSync(descriptor, Buffer.concat([length, text]));
  ftruncateSync(descriptor, 8 + text.length + end);
  closeSync(descriptor);
}
