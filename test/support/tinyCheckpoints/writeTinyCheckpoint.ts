import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeTensor } from './encodeTensors';
import type { TinyCheckpoint } from './tinyCheckpoint';

/** Writes `config.json` and `model.safetensors` of one tiny checkpoint into a folder, and gives the folder back. */
export function writeTinyCheckpoint(checkpoint: TinyCheckpoint, folder: string): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), `${JSON.stringify(checkpoint.config, undefined, 2)}\n`);
  const stored = checkpoint.tensors.flatMap((tensor) => encodeTensor(tensor, checkpoint.seed));
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let offset = 0;
  for (const { name, dtype, shape, bytes } of stored) {
    if (name in header) throw new Error(`${checkpoint.name} has the tensor ${name} twice.`);
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8, ' '), 'utf8');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  writeFileSync(
    join(folder, 'model.safetensors'),
    Buffer.concat([length, padded, ...stored.map(({ bytes }) => bytes)]),
  );
  return folder;
}
