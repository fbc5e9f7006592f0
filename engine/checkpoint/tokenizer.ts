import path from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import * as z from 'zod';
import { TunerError } from '../protocol/errors';
import { resolveFolder, resolveInside, type CheckpointFolder } from './checkpointPaths';
import { isJsonObject, parseJson } from './jsonText';
import { splitsIntoWords, splitText } from './splitText';
import { readTextFile } from './textFile';
import type { Checkpoint, ConfigObject } from './types';

/** The tokenizer of a checkpoint. */
export interface CheckpointTokenizer {
  /**
   * Token ids of a text; no special tokens are added, but those spelled out in the text are recognised. As in the
   * reference library, characters without a token become the unknown token, or nothing where the model has none.
   * @throws TunerError `malformedTokenizer` when the library fails on the text
   */
  encode(text: string): number[];
  /** Parts of a text whose ids, joined, are those of the whole; cut as they are asked for, so that a reader can stop early. */
  parts(text: string): Iterable<string>;
  /** Text of token ids, without the special tokens among them; incomplete characters become U+FFFD. */
  decode(ids: readonly number[]): string;
  /** Token that separates texts: end of text, else beginning of text; undefined when the checkpoint names neither. */
  readonly separatorId: number | undefined;
  /** Tokens that the tokenizer itself puts before a text, such as beginning-of-text; none for many models. */
  readonly beginning: readonly number[];
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
  const folder = await resolveFolder(checkpoint.folder);
  const definition = await readObject(folder, path.basename(tokenizerFile), 'malformedTokenizer');
  const tokenizerConfig = (await readOptionalObject(folder, tokenizerConfigName, 'malformedTokenizer')) ?? {};
  const generationConfig = (await readOptionalObject(folder, generationConfigName, 'malformedConfig')) ?? {};
  const tokenizer = buildTokenizer(definition, tokenizerConfig, tokenizerFile);

  const sources: TokenSources = { checkpoint, generationConfig, tokenizerConfig, tokenizer };
  const encodeText = (text: string): number[] => encode(tokenizer, text, tokenizerFile);
  const splittable = splitsIntoWords(definition.pre_tokenizer);
  return {
    encode: encodeText,
    decode: (ids) => decode(tokenizer, ids, definition),
    parts: (text) => (splittable ? splitText(text, encodeText) : [text]),
    separatorId: specialToken('eos', sources) ?? specialToken('bos', sources),
    beginning: beginningOf(encodeText(probeText), encode(tokenizer, probeText, tokenizerFile, true)),
    vocabularySize: 1 + [...tokenizer.get_vocab().values()].reduce((highest, id) => Math.max(highest, id), -1),
  };
}

const tokenIdSchema = z.int32().min(0);

/**
 * What the library takes on trust: it guesses a model of an unknown type and reads the vocabulary unchecked. Everything
 * else it checks itself.
 */
const definitionSchema = z.looseObject({
  model: z.discriminatedUnion('type', [
    z.looseObject({ type: z.enum(['BPE', 'WordPiece']), vocab: z.record(z.string(), tokenIdSchema) }),
    z.looseObject({ type: z.literal('Unigram'), vocab: z.array(z.tuple([z.string(), z.number()])) }),
  ]),
  added_tokens: z.array(z.looseObject({ id: tokenIdSchema, content: z.string().min(1) })).default([]),
});

function buildTokenizer(definition: ConfigObject, config: ConfigObject, file: string): Tokenizer {
  const parsed = definitionSchema.safeParse(definition);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw malformed('The tokenizer definition is not understood', file, issue?.path.join('.'), issue?.message);
  }
  try {
    const tokenizer = new Tokenizer(parsed.data, config);
    if (tokenizer.get_vocab().size === 0) {
      throw malformed('The vocabulary is empty.', file, 'model.vocab');
    }
    return tokenizer;
  } catch (error) {
    throw TunerError.is(error)
      ? error
      : malformed('The tokenizer cannot be built from this file', file, undefined, asError(error));
  }
}

function encode(tokenizer: Tokenizer, text: string, file: string, addSpecialTokens = false): number[] {
  let ids: number[];
  try {
    ids = text === '' ? [] : tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids;
  } catch (error) {
    throw malformed('The tokenizer fails on a text', file, undefined, asError(error));
  }
  // Despite its type the library can yield undefined, for example for a special token that was not declared.
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

/**
 * Tokens as text. Without a decoder the library puts spaces between tokens, as is right for words; where nothing cut the text into
 * words either, the tokens are the text itself.
 */
function decode(tokenizer: Tokenizer, ids: readonly number[], { decoder, pre_tokenizer: cut }: ConfigObject): string {
  const known = ids.filter((id) => tokenizer.id_to_token(id) !== undefined);
  if (known.length === 0) {
    return '';
  }
  if ((decoder ?? undefined) === undefined && (cut ?? undefined) === undefined) {
    const added = tokenizer.get_added_tokens_decoder();
    return known.map((id) => (added.get(id)?.special === true ? '' : tokenizer.id_to_token(id)!)).join('');
  }
  return tokenizer.decode(known, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
}

/** Any text that has a token: what a post-processor adds does not depend on it. */
const probeText = 'a';

/** What stands before the ids of a text once the post-processor has been at them. */
function beginningOf(plain: readonly number[], processed: readonly number[]): readonly number[] {
  const isTextAt = (start: number): boolean => plain.every((id, offset) => processed[start + offset] === id);
  const start = plain.length === 0 ? -1 : processed.findIndex((_, at) => isTextAt(at));
  return processed.slice(0, Math.max(0, start));
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

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function malformed(message: string, file: string, place?: string, cause?: string | Error): TunerError {
  const reason = cause === undefined ? message : `${message} (${typeof cause === 'string' ? cause : cause.message}).`;
  const wayOut = 'Download tokenizer.json again, or use a checkpoint with a fast tokenizer.';
  return new TunerError(
    'malformedTokenizer',
    reason,
    { file, place, wayOut },
    cause === undefined ? undefined : { cause },
  );
}
