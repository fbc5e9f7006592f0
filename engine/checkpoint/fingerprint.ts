import { createHash, type Hash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { readTensorBytes } from './readTensor';
import { fileAccessError } from './textFile';
import type { Checkpoint, TensorEntry } from './types';

const sampleBytes = 4096;
const samplesPerTensor = 4;
const samplesPerGroup = 4;

/**
 * Identity of a checkpoint that survives copying, renaming and re-sharding: SHA-256 (hex) over name, dtype and shape of
 * every tensor and up to 4 KiB of each router tensor, which differ between any two trainings.
 */
export async function checkpointFingerprint(
  checkpoint: Checkpoint,
  routerTensors: readonly TensorEntry[],
): Promise<string> {
  const hash = createHash('sha256');
  for (const tensor of sortByName([...checkpoint.tensors.values()])) {
    hash.update(describe(tensor));
  }
  for (const tensor of sortByName(routerTensors)) {
    hash.update(describe(tensor));
    await hashSamples(hash, [tensor], samplesPerTensor, sampleBytes / samplesPerTensor);
  }
  return hash.digest('hex');
}

/**
 * Cache key of the weights of one layer: SHA-256 (hex) over names, dtypes and shapes, size and modification time of the
 * files, and four 4 KiB blocks of each group of equally shaped tensors (all gate projections, say). Its cost does not
 * grow with the weights.
 */
export async function layerFingerprint(entries: readonly TensorEntry[]): Promise<string> {
  const hash = createHash('sha256');
  const sorted = sortByName(entries);
  const groups = new Map<string, TensorEntry[]>();
  for (const entry of sorted) {
    hash.update(describe(entry));
    const key = `${entry.dtype} ${entry.shape.join('x')}`;
    const group = groups.get(key) ?? [];
    group.push(entry);
    groups.set(key, group);
  }
  for (const file of new Set(sorted.map((entry) => entry.file))) {
    hash.update(await fileState(file));
  }
  for (const group of groups.values()) {
    await hashSamples(hash, group, samplesPerGroup, sampleBytes);
  }
  return hash.digest('hex');
}

/** Adds evenly spaced blocks of the tensors' joined bytes to the hash, or all of them where that is no more. */
async function hashSamples(hash: Hash, tensors: readonly TensorEntry[], blocks: number, size: number): Promise<void> {
  const total = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  if (total <= blocks * size) {
    await hashRange(hash, tensors, 0, total);
    return;
  }
  for (let block = 0; block < blocks; block += 1) {
    const begin = Math.floor(((total - size) * block) / (blocks - 1));
    await hashRange(hash, tensors, begin, begin + size);
  }
}

async function hashRange(hash: Hash, tensors: readonly TensorEntry[], begin: number, end: number): Promise<void> {
  let position = 0;
  for (const tensor of tensors) {
    const from = Math.max(begin - position, 0);
    const to = Math.min(end - position, tensor.byteLength);
    if (from < to) {
      hash.update(await readTensorBytes({ ...tensor, byteOffset: tensor.byteOffset + from, byteLength: to - from }));
    }
    position += tensor.byteLength;
  }
}

async function fileState(file: string): Promise<string> {
  try {
    const { size, mtimeNs } = await stat(file, { bigint: true });
    return `${size} ${mtimeNs}\n`;
  } catch (error) {
    throw fileAccessError(error, file);
  }
}

function describe({ name, dtype, shape }: TensorEntry): string {
  return `${JSON.stringify(name)} ${dtype} [${shape.join(',')}]\n`;
}

/** Order by code unit, independent of the machine's language. */
function sortByName(tensors: readonly TensorEntry[]): TensorEntry[] {
  return [...tensors].sort((left, right) => (left.name < right.name ? -1 : left.name > right.name ? 1 : 0));
}
