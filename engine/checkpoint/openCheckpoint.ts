import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { TunerError } from '../protocol/errors';
import { resolveFolder, resolveInside, type CheckpointFolder } from './checkpointPaths';
import { isJsonObject, parseJson } from './jsonText';
import { readSafetensorsHeader } from './safetensorsHeader';
import { readShards, type ShardedTensors } from './shardIndex';
import { fileAccessError, readTextFile } from './textFile';
import type { Checkpoint, ConfigObject } from './types';

/** Python writes infinity as a bare word, which no JSON parser accepts; texts are matched only to be left alone. */
const stringOrInfinity = /"[^"\\]*(?:\\.[^"\\]*)*"|\bInfinity\b/g;

const configName = 'config.json';
const singleName = 'model.safetensors';
const indexName = 'model.safetensors.index.json';
const tokenizerName = 'tokenizer.json';

/**
 * Opens a checkpoint folder in Hugging Face layout: its config and the headers of its weight files, never their data.
 * @param location the folder, or the `config.json` in it
 * @throws TunerError `fileNotFound`, `notACheckpoint`, `malformedConfig`, `malformedIndex`, `missingShard`,
 * `malformedSafetensors`, `unsupportedDtype`, `pathEscapesFolder`
 */
export async function openCheckpoint(location: string): Promise<Checkpoint> {
  const folder = await checkpointFolder(path.resolve(location));
  const place = await resolveFolder(folder);
  const names = await listFolder(folder);
  const configFile = path.join(folder, configName);
  if (!names.has(configName)) {
    const wayOut = 'Give a folder that holds config.json and *.safetensors.';
    throw new TunerError('notACheckpoint', 'The folder has no config.json.', { file: folder, wayOut });
  }
  const config = await readConfig(place);
  const { tensors, bytes } = await readWeights(place, names);
  if (names.has(tokenizerName)) {
    await resolveInside(place, tokenizerName);
  }
  const tokenizerFile = names.has(tokenizerName) ? path.join(folder, tokenizerName) : undefined;
  return { folder, configFile, config, tensors, bytes, tokenizerFile };
}

async function checkpointFolder(location: string): Promise<string> {
  try {
    const stats = await stat(location);
    if (stats.isDirectory()) {
      return location;
    }
  } catch (error) {
    throw fileAccessError(error, location);
  }
  if (path.basename(location) === configName) {
    return path.dirname(location);
  }
  const wayOut = 'Give the folder that holds config.json and *.safetensors.';
  throw new TunerError('notACheckpoint', 'This is a file, not a checkpoint folder.', { file: location, wayOut });
}

async function listFolder(folder: string): Promise<ReadonlySet<string>> {
  try {
    return new Set(await readdir(folder));
  } catch (error) {
    throw fileAccessError(error, folder);
  }
}

async function readConfig(folder: CheckpointFolder): Promise<ConfigObject> {
  await resolveInside(folder, configName);
  const configFile = path.join(folder.shown, configName);
  const text = await readTextFile(configFile, 'malformedConfig');
  const config = parseJson(configAsJson(text), configFile, 'malformedConfig');
  if (!isJsonObject(config)) {
    throw new TunerError('malformedConfig', 'The config is not a JSON object.', { file: configFile, place: 'line 1' });
  }
  return config;
}

/**
 * Text of a config that strict parsers accept. A number beyond the range of floats parses to infinity; the padding keeps all
 * offsets, so that places and edits found in the result hold for the original.
 */
export function configAsJson(text: string): string {
  return text.replace(stringOrInfinity, (match) => (match === 'Infinity' ? '1e999   ' : match));
}

/** The single file goes before the index when there are both, as in the reference loader. */
async function readWeights(folder: CheckpointFolder, names: ReadonlySet<string>): Promise<ShardedTensors> {
  if (names.has(singleName)) {
    await resolveInside(folder, singleName);
    const header = await readSafetensorsHeader(path.join(folder.shown, singleName));
    return { tensors: new Map(header.tensors.map((tensor) => [tensor.name, tensor])), bytes: header.fileBytes };
  }
  if (names.has(indexName)) {
    return readShards(folder, indexName);
  }
  if ([...names].some((name) => name.endsWith('.safetensors'))) {
    const message = `The folder has safetensors files, but neither ${singleName} nor ${indexName}.`;
    const wayOut = 'Download the index of the checkpoint as well.';
    throw new TunerError('fileNotFound', message, { file: path.join(folder.shown, indexName), wayOut });
  }
  const other = [...names].find((name) => /\.(bin|pt|pth|gguf|onnx|h5)$/.test(name));
  const wayOut = `Give a checkpoint with ${singleName} or ${indexName}${other === undefined ? '' : `; ${other} must be converted first`}.`;
  throw new TunerError('notACheckpoint', 'The folder has no safetensors weights.', { file: folder.shown, wayOut });
}
