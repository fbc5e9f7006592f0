import path from 'node:path';
import * as z from 'zod';
import { isJsonObject, parseJson } from '../../checkpoint/jsonText';
import { readTextFile } from '../../checkpoint/textFile';
import { loadTokenizer } from '../../checkpoint/tokenizer';
import type { Checkpoint, ConfigObject } from '../../checkpoint/types';
import { TunerError } from '../../protocol/errors';
import type { GgufValue } from './ggufHeader';
import { preTokenizerName } from './preTokenizers';
import { sentencePieceNotes, sentencePieceRefusal, sentencePieceScores, spacePrefix } from './sentencePiece';

/** Kinds of tokens (`llama_token_type`). */
const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const idSchema = z.int32().min(0);

/** What is read of `tokenizer.json`. */
const definitionSchema = z.looseObject({
  model: z.looseObject({
    type: z.literal('BPE'),
    vocab: z.record(z.string(), idSchema),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
    unk_token: z.string().nullish(),
    byte_fallback: z.boolean().nullish(),
  }),
  added_tokens: z
    .array(z.looseObject({ id: idSchema, content: z.string(), special: z.boolean().default(false) }))
    .default([]),
});

export type TokenizerDefinition = z.infer<typeof definitionSchema>;

/** What a GGUF file says of the tokenizer, and what a person should know. */
export interface TokenizerMetadata {
  readonly keys: readonly [string, GgufValue][];
  readonly notes: readonly string[];
}

/**
 * The tokenizer of a checkpoint as metadata: byte-level tokenizers as `gpt2` with the name of their pre-tokenizer, those of SentencePiece
 * as `llama` with scores in the order of their merges.
 * @param size number of rows of the embedding: tokens beyond the vocabulary are written as unused
 * @throws TunerError `unsupportedFeature` where llama.cpp would cut texts differently, `malformedTokenizer`
 */
export async function tokenizerMetadata(checkpoint: Checkpoint, size: number): Promise<TokenizerMetadata> {
  const { tokenizerFile } = checkpoint;
  if (tokenizerFile === undefined) {
    return {
      keys: [['tokenizer.ggml.model', { type: 'string', value: 'none' }]],
      notes: ['The checkpoint has no tokenizer.json: the file takes token ids only, and no texts.'],
    };
  }
  const content = await readObject(tokenizerFile);
  const parsed = definitionSchema.safeParse(content);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refused(tokenizerFile, 'model', `it is no byte pair encoding (${issue?.path.join('.')}: ${issue?.message})`);
  }
  const definition = parsed.data;
  const sentencePiece = definition.model.byte_fallback === true;
  const refusal = sentencePiece ? sentencePieceRefusal(content) : undefined;
  if (refusal !== undefined) {
    throw refused(tokenizerFile, refusal.place, refusal.reason);
  }
  const pre = sentencePiece ? 'default' : preTokenizerName(content);
  if (pre === undefined) {
    throw refused(tokenizerFile, 'pre_tokenizer', 'llama.cpp has no pre-tokenizer with these patterns');
  }
  if (
    content['normalizer'] !== null &&
    content['normalizer'] !== undefined &&
    !sentencePiece &&
    !isComposition(content['normalizer'])
  ) {
    throw refused(tokenizerFile, 'normalizer', 'llama.cpp does not normalise texts like this');
  }
  const { tokens, types } = vocabulary(definition, size, tokenizerFile);
  const settings = (await readOptionalObject(path.join(checkpoint.folder, 'tokenizer_config.json'))) ?? {};
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const { beginning } = await loadTokenizer(checkpoint);
  const bos = specialId('bos', settings, checkpoint.config, ids) ?? (beginning.length === 1 ? beginning[0] : undefined);
  return {
    keys: [
      ['tokenizer.ggml.model', { type: 'string', value: sentencePiece ? 'llama' : 'gpt2' }],
      ['tokenizer.ggml.pre', { type: 'string', value: pre }],
      ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
      ['tokenizer.ggml.token_type', { type: 'int32s', value: types }],
      ...(sentencePiece
        ? ([
            ['tokenizer.ggml.scores', { type: 'float32s', value: sentencePieceScores(definition, tokens) }],
            ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: spacePrefix(content) }],
          ] as [string, GgufValue][])
        : ([['tokenizer.ggml.merges', { type: 'strings', value: definition.model.merges.map(mergeText) }]] as [
            string,
            GgufValue,
          ][])),
      ...idKeys({
        bos_token_id: bos,
        eos_token_id: specialId('eos', settings, checkpoint.config, ids),
        unknown_token_id:
          specialId('unk', settings, checkpoint.config, ids) ?? ids.get(definition.model.unk_token ?? ''),
        padding_token_id: specialId('pad', settings, checkpoint.config, ids),
      }),
      ['tokenizer.ggml.add_bos_token', { type: 'bool', value: beginning.length > 0 && beginning[0] === bos }],
      ...(await chatTemplate(checkpoint.folder, settings)),
    ],
    notes: sentencePiece ? sentencePieceNotes(content) : [],
  };
}

/** Composed characters are what nearly every text has already; llama.cpp leaves texts as they are. */
function isComposition(normalizer: unknown): boolean {
  return isJsonObject(normalizer) && normalizer['type'] === 'NFC';
}

/** "left right"; spaces inside a part are spelt `Ġ` in byte-level tokenizers. */
function mergeText(merge: string | readonly [string, string]): string {
  return typeof merge === 'string' ? merge : `${merge[0]} ${merge[1]}`;
}

function vocabulary(
  { model, added_tokens: added }: TokenizerDefinition,
  size: number,
  file: string,
): { tokens: string[]; types: number[] } {
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = Array<number>(size).fill(tokenTypes.unused);
  const place = (token: string, id: number, type: number) => {
    if (id >= size) {
      throw new TunerError('malformedTokenizer', `Token ${id} has no row in an embedding of ${size} tokens.`, {
        file,
        place: token,
        wayOut: 'Use the tokenizer that belongs to the checkpoint.',
      });
    }
    tokens[id] = token;
    types[id] = type;
  };
  for (const [token, id] of Object.entries(model.vocab)) {
    const byte = model.byte_fallback === true && /^<0x[0-9A-F]{2}>$/.test(token);
    place(token, id, byte ? tokenTypes.byte : token === model.unk_token ? tokenTypes.unknown : tokenTypes.normal);
  }
  for (const { content, id, special } of added) {
    const unknown = content === model.unk_token && model.byte_fallback === true;
    place(content, id, unknown ? tokenTypes.unknown : special ? tokenTypes.control : tokenTypes.userDefined);
  }
  return { tokens, types };
}

/** Id of a special token by its text in the tokenizer's settings, else as the config states it. */
function specialId(
  kind: 'bos' | 'eos' | 'unk' | 'pad',
  settings: ConfigObject,
  config: ConfigObject,
  ids: ReadonlyMap<string, number>,
): number | undefined {
  const token = settings[`${kind}_token`];
  const content = isJsonObject(token) ? token['content'] : token;
  if (typeof content === 'string' && ids.has(content)) {
    return ids.get(content);
  }
  const text = isJsonObject(config['text_config']) ? config['text_config'] : {};
  const stated: unknown = config[`${kind}_token_id`] ?? text[`${kind}_token_id`];
  const id: unknown = Array.isArray(stated) ? stated[0] : stated;
  return typeof id === 'number' && id >= 0 ? id : undefined;
}

function idKeys(ids: Readonly<Record<string, number | undefined>>): [string, GgufValue][] {
  return Object.entries(ids).flatMap(([key, value]): [string, GgufValue][] =>
    value === undefined ? [] : [[`tokenizer.ggml.${key}`, { type: 'uint32', value }]],
  );
}

async function chatTemplate(folder: string, settings: ConfigObject): Promise<[string, GgufValue][]> {
  const stated = settings['chat_template'];
  const template = typeof stated === 'string' ? stated : await readOptional(path.join(folder, 'chat_template.jinja'));
  return template === undefined ? [] : [['tokenizer.chat_template', { type: 'string', value: template }]];
}

async function readObject(file: string): Promise<ConfigObject> {
  const value = parseJson(await readTextFile(file, 'malformedTokenizer'), file, 'malformedTokenizer');
  if (!isJsonObject(value)) {
    throw new TunerError('malformedTokenizer', 'The file is not a JSON object.', { file, place: 'line 1' });
  }
  return value;
}

async function readOptionalObject(file: string): Promise<ConfigObject | undefined> {
  return unlessAbsent(() => readObject(file));
}

async function readOptional(file: string): Promise<string | undefined> {
  return unlessAbsent(() => readTextFile(file, 'malformedTokenizer'));
}

async function unlessAbsent<Value>(read: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await read();
  } catch (error) {
    if (TunerError.is(error, 'fileNotFound')) {
      return undefined;
    }
    throw error;
  }
}

function refused(file: string, place: string, reason: string): TunerError {
  return new TunerError('unsupportedFeature', `The tokenizer cannot go into a GGUF file: ${reason}.`, {
    file,
    place,
    wayOut: 'Write the target huggingface, and convert that folder with convert_hf_to_gguf.py of llama.cpp.',
  });
}
