import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { TunerError } from '../protocol/errors';
import { resolveInside, type CheckpointFolder } from './checkpointPaths';
import { isJsonObject, parseJson } from './jsonText';
import { readTextFile } from './textFile';
import type { Checkpoint, ConfigObject } from './types';

/** The tokenizer of a checkpoint. */
export interface CheckpointTokenizer {
  /**
   * Token ids of a text; no special tokens are added, but those spelled out in the text are recognised.
   * @throws TunerError `malformedTokenizer` when the vocabulary has no token for a part of the text
   */
  encode(text: string): number[];
  /** Token that separates texts: end of text, else beginning of text; undefined when the checkpoint names neither. */
  readonly separatorId: number | undefined;
  /** Highest token id plus one. */
  readonly vocabularySize: number;
}

const tokenizerConfigName = 'tokenizer_config.json';
const generationConfigName = 'generation_config.json';

/**
 * Loads `tokenizer.json` and finds the separator token.
 * @throws TunerError `missingTokenizer`, `malformedTokenizer`, `malformedConfig`, `pathEscapesFolder`
 */
export async function loadTokenizer(checkpoint: Checkpoint): Promise<CheckpointTokenizer> {
  const { tokenizerFile } = checkpoint;
  if (tokenizerFile === undefined) {
    throw new TunerError('missingTokenizer', 'The checkpoint has no tokenizer.json, so texts cannot be read.', {
      file: path.join(checkpoint.folder, 'tokenizer.json'),
      wayOut: 'Download tokenizer.json and tokenizer_config.json into the folder.',
    });
  }
  const folder = { shown: checkpoint.folder, real: await realpath(checkpoint.folder) };
  const definition = await readObject(folder, path.basename(tokenizerFile), 'malformedTokenizer');
  const tokenizerConfig = (await readOptionalObject(folder, tokenizerConfigName, 'malformedTokenizer')) ?? {};
  const generationConfig = (await readOptionalObject(folder, generationConfigName, 'malformedConfig')) ?? {};
  const tokenizer = buildTokenizer(definition, tokenizerConfig, tokenizerFile);

  const sources: TokenSources = { checkpoint, generationConfig, tokenizerConfig, tokenizer };
  return {
    encode: (text) => encode(tokenizer, text, tokenizerFile),
    separatorId: specialToken('eos', sources) ?? specialToken('bos', sources),
    vocabularySize: 1 + [...tokenizer.get_vocab().values()].reduce((highest, id) => Math.max(highest, id), -1),
  };
}

function buildTokenizer(definition: ConfigObject, config: ConfigObject, file: string): Tokenizer {
  try {
    // The library iterates over added_tokens unasked; the file format lets them be absent.
    const tokenizer = new Tokenizer({ ...definition, added_tokens: definition.added_tokens ?? [] }, config);
    if (tokenizer.get_vocab().size === 0) {
      throw malformed('The vocabulary is empty.', file, 'model.vocab');
    }
    return tokenizer;
  } catch (error) {
    throw TunerError.is(error)
      ? error
      : malformed('The tokenizer cannot be built from this file', file, undefined, error);
  }
}

function encode(tokenizer: Tokenizer, text: string, file: string): number[] {
  let ids: number[];
  try {
    ids = text === '' ? [] : tokenizer.encode(text, { add_special_tokens: false }).ids;
  } catch (error) {
    throw malformed('The tokenizer fails on a text', file, undefined, error);
  }
  // Despite its type the library yields undefined where the vocabulary has neither the token nor an unknown token.
  const unknown = ids.findIndex((id) => !Number.isSafeInteger(id));
  if (unknown !== -1) {
    throw malformed(
      `The vocabulary has no token for a part of the text (token ${unknown} of it).`,
      file,
      'model.vocab',
    );
  }
  return ids;
}

interface TokenSources {
  readonly checkpoint: Checkpoint;
  readonly generationConfig: ConfigObject;
  readonly tokenizerConfig: ConfigObject;
  readonly tokenizer: Tokenizer;
}

/** Id of the end-of-text or beginning-of-text token, from the first place that names it. */
function specialToken(kind: 'eos' | 'bos', sources: TokenSources): number | undefined {
  const { checkpoint, generationConfig, tokenizerConfig, tokenizer } = sources;
  const key = `${kind}_token_id`;
  const generationFile = path.join(checkpoint.folder, generationConfigName);
  const textConfig = isJsonObject(checkpoint.config.text_config) ? checkpoint.config.text_config : {};
  const id =
    tokenId(checkpoint.config[key], checkpoint.configFile, key) ??
    tokenId(textConfig[key], checkpoint.configFile, `text_config.${key}`) ??
    tokenId(generationConfig[key], generationFile, key);
  if (id !== undefined) {
    return id;
  }
  const token = tokenizerConfig[`${kind}_token`];
  const content = isJsonObject(token) ? token.content : token;
  return typeof content === 'string' ? tokenizer.token_to_id(content) : undefined;
}

/** The field holds an id, a list of ids of which the first is the main one, or null. */
function tokenId(value: unknown, file: string, place: string): number | undefined {
  const id: unknown = Array.isArray(value) ? value[0] : value;
  if (id === undefined || id === null) {
    return undefined;
  }
  if (typeof id !== 'number' || !Number.isSafeInteger(id)) {
    throw new TunerError('malformedConfig', 'The value is not a token id.', {
      file,
      place,
      wayOut: 'Correct the file.',
    });
  }
  // Some families write -1 for "none".
  return id < 0 ? undefined : id;
}

async function readOptionalObject(
  folder: CheckpointFolder,
  name: string,
  code: 'malformedTokenizer' | 'malformedConfig',
): Promise<ConfigObject | undefined> {
  try {
    return await readObject(folder, name, code);
  } catch (error) {
    if (TunerError.is(error, 'fileNotFound')) {
      return undefined;
    }
    throw error;
  }
}

async function readObject(
  folder: CheckpointFolder,
  name: string,
  code: 'malformedTokenizer' | 'malformedConfig',
): Promise<ConfigObject> {
  await resolveInside(folder, name);
  const file = path.join(folder.shown, name);
  const value = parseJson(await readTextFile(file, code), file, code);
  if (!isJsonObject(value)) {
    throw new TunerError(code, 'The file is not a JSON object.', { file, place: 'line 1' });
  }
  return value;
}

function malformed(message: string, file: string, place?: string, cause?: unknown): TunerError {
  const reason =
    cause === undefined ? message : `${message} (${cause instanceof Error ? cause.message : String(cause)}).`;
  const wayOut = 'Download tokenizer.json again, or use a checkpoint with a fast tokenizer.';
  return new TunerError(
    'malformedTokenizer',
    reason,
    { file, place, wayOut },
    cause === undefined ? undefined : { cause },
  );
}
