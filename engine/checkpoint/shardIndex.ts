import path from 'node:path';
import { TunerError } from '../protocol/errors';
import { assertRelativeInside, resolveInside, type CheckpointFolder } from './checkpointPaths';
import { isJsonObject, parseJson } from './jsonText';
import { readSafetensorsHeader, type SafetensorsHeader } from './safetensorsHeader';
import { readTextFile } from './textFile';
import type { TensorEntry } from './types';

/** How many shard headers are read at the same time: enough to hide the latency of a network disk. */
const parallelReads = 8;

/** The tensors of all shards of an index, and the bytes of the files together. */
export interface ShardedTensors {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly bytes: number;
}

/**
 * Reads `model.safetensors.index.json` and the headers of all shards it names. Tensors that a shard holds without being
 * named by the index belong to the checkpoint too, as in the reference loader.
 * @param indexName file name of the index inside the folder
 * @throws TunerError `malformedIndex`, `missingShard`, `pathEscapesFolder`, and those of {@link readSafetensorsHeader}
 */
export async function readShards(folder: CheckpointFolder, indexName: string): Promise<ShardedTensors> {
  const indexFile = path.join(folder.shown, indexName);
  await resolveInside(folder, indexName);
  const weightMap = await readWeightMap(indexFile);
  const shards = [...new Set(weightMap.values())].sort();
  const headers = await mapParallel(shards, (shard) => readShard(folder, shard, indexFile));

  const tensors = new Map<string, TensorEntry>();
  const shardOf = new Map<string, string>();
  headers.forEach((header, position) => {
    const shard = shards[position]!;
    for (const tensor of header.tensors) {
      const other = shardOf.get(tensor.name);
      if (other !== undefined) {
        throw malformed(indexFile, tensor.name, `The tensor is in two shards, ${other} and ${shard}.`);
      }
      shardOf.set(tensor.name, shard);
      tensors.set(tensor.name, tensor);
    }
  });
  for (const [name, shard] of weightMap) {
    const actual = shardOf.get(name);
    if (actual !== shard) {
      const found = actual === undefined ? 'no shard holds it' : `it is in ${actual}`;
      throw malformed(indexFile, name, `The index places the tensor in ${shard}, but ${found}.`);
    }
  }
  return { tensors, bytes: headers.reduce((sum, header) => sum + header.fileBytes, 0) };
}

async function readShard(folder: CheckpointFolder, shard: string, indexFile: string): Promise<SafetensorsHeader> {
  const file = path.join(folder.shown, shard);
  try {
    await resolveInside(folder, shard);
  } catch (error) {
    if (!TunerError.is(error, 'fileNotFound')) {
      throw error;
    }
    const message = `The index names the shard ${shard}, which cannot be opened. ${error.message}`;
    const wayOut = 'Download the missing file into the folder.';
    throw new TunerError('missingShard', message, { file, place: indexFile, wayOut });
  }
  return readSafetensorsHeader(file);
}

async function readWeightMap(indexFile: string): Promise<ReadonlyMap<string, string>> {
  const content = parseJson(await readTextFile(indexFile, 'malformedIndex'), indexFile, 'malformedIndex');
  const weightMap = isJsonObject(content) ? content.weight_map : undefined;
  if (!isJsonObject(weightMap)) {
    throw malformed(indexFile, 'weight_map', 'The index has no object weight_map from tensor names to file names.');
  }
  const result = new Map<string, string>();
  for (const [name, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || shard === '') {
      throw malformed(indexFile, `weight_map.${name}`, 'The file of the tensor is not a text.');
    }
    assertRelativeInside(shard, indexFile, `weight_map.${name}`);
    result.set(name, shard);
  }
  if (result.size === 0) {
    throw malformed(indexFile, 'weight_map', 'The index names no tensor.');
  }
  return result;
}

/** Results in input order; the first failure by position wins, so that the same checkpoint gives the same error. */
async function mapParallel<Input, Output>(
  inputs: readonly Input[],
  work: (input: Input) => Promise<Output>,
): Promise<Output[]> {
  const results: Output[] = [];
  const failures = new Map<number, unknown>();
  let next = 0;
  const runner = async (): Promise<void> => {
    for (let at = next++; at < inputs.length && failures.size === 0; at = next++) {
      try {
        results[at] = await work(inputs[at]!);
      } catch (error) {
        failures.set(at, error);
      }
    }
  };
  await Promise.all(Array.from({ length: parallelReads }, runner));
  if (failures.size > 0) {
    throw failures.get(Math.min(...failures.keys()));
  }
  return results;
}

function malformed(file: string, place: string, message: string): TunerError {
  const wayOut = 'Download the index and the shards from one revision of the checkpoint.';
  return new TunerError('malformedIndex', message, { file, place, wayOut });
}
