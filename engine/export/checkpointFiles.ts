import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { resolveFolder, resolveInside } from '../checkpoint/checkpointPaths';
import { isJsonObject, parseJson } from '../checkpoint/jsonText';
import { fileAccessError, readTextFile } from '../checkpoint/textFile';
import type { Checkpoint } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import type { CopiedFile } from './artefactFiles';

const singleName = 'model.safetensors';
export const indexName = 'model.safetensors.index.json';

/** Files beside the weights that loaders read or licences ask for; anything else stays where it is. */
const companions: readonly RegExp[] = [
  /^tokenizer[\w.-]*$/,
  /^(vocab|merges|special_tokens_map|added_tokens|generation_config|chat_template)[\w.-]*$/,
  /^(preprocessor|processor|image_processor|video_preprocessor|feature_extractor)_?config\.json$/,
  /^[\w.-]+\.(model|tiktoken|jinja)$/,
  // A loader that an earlier run generated belongs to other numbers.
  /^(?!moe_tuner_)[\w.-]+\.py$/,
  /^(LICEN[CS]E|NOTICE|USE_POLICY|COPYRIGHT)[\w.-]*$/i,
];

/**
 * The files that a copy of a checkpoint consists of, without its config: the weight files that belong to it, their index, the
 * tokenizer, generation and processor settings, custom model code and licences.
 * @throws TunerError `fileNotFound`, `pathEscapesFolder`, `malformedIndex`
 */
export async function checkpointFiles(checkpoint: Checkpoint): Promise<CopiedFile[]> {
  const folder = await resolveFolder(checkpoint.folder);
  const present = await readdir(checkpoint.folder);
  const weights = present.includes(singleName) ? [singleName] : await shardNames(checkpoint.folder);
  const index = present.includes(singleName) ? [] : [indexName];
  const beside = present.filter((name) => companions.some((pattern) => pattern.test(name))).sort();
  const names = [...weights, ...index, ...beside.filter((name) => !weights.includes(name))];
  const files: CopiedFile[] = [];
  for (const name of names) {
    const source = await resolveInside(folder, name);
    const state = await stat(source).catch((error: unknown) => {
      throw fileAccessError(error, source);
    });
    if (state.isFile()) {
      files.push({ name, source, bytes: state.size, shares: weights.includes(name) });
    }
  }
  return files;
}

/** Weight files of an index that opening the checkpoint has checked. */
async function shardNames(folder: string): Promise<string[]> {
  const file = path.join(folder, indexName);
  const content = parseJson(await readTextFile(file, 'malformedIndex'), file, 'malformedIndex');
  const map = isJsonObject(content) ? content.weight_map : undefined;
  if (!isJsonObject(map)) {
    throw new TunerError('malformedIndex', 'The index has no object weight_map.', { file, place: 'weight_map' });
  }
  return [...new Set(Object.values(map).map(String))].sort();
}
