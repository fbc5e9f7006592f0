import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { loadTokenizer, type CheckpointTokenizer } from '../../engine/checkpoint/tokenizer';
import { writeSafetensors } from '../../engine/checkpoint/writeSafetensors';
import { temporaryFolder } from '../support/temporaryFolder';

const definition = {
  version: '1.0',
  added_tokens: [
    { id: 5, content: '<eos>', special: true },
    { id: 6, content: '<bos>', special: true },
  ],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<bos>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<bos>': { id: '<bos>', ids: [6], tokens: ['<bos>'] } },
  },
  decoder: null,
  model: { type: 'BPE', unk_token: null, vocab: { a: 0, b: 1, c: 2, ab: 3, '\n': 4 }, merges: [['a', 'b']] },
};

/** A folder with one weight and the given JSON files; a text is written as it is. */
async function folderOf(files: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = await temporaryFolder();
  await writeSafetensors(path.join(folder, 'model.safetensors'), []);
  for (const [name, content] of Object.entries({ 'config.json': {}, ...files })) {
    await writeFile(path.join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}

async function load(folder: string): Promise<CheckpointTokenizer> {
  return loadTokenizer(await openCheckpoint(folder));
}

describe('tokenizer', () => {
  it('merges, adds no special tokens, and recognises those spelled out', async () => {
    const tokenizer = await load(await folderOf({ 'tokenizer.json': definition }));
    expect(tokenizer.encode('abcab\n')).toEqual([3, 2, 3, 4]);
    expect(tokenizer.encode('a<eos>b')).toEqual([0, 5, 1]);
    expect(tokenizer.encode('')).toEqual([]);
    expect(tokenizer.vocabularySize).toBe(7);
  });

  it('knows what its post-processor puts before a text', async () => {
    const tokenizer = await load(await folderOf({ 'tokenizer.json': definition }));
    expect(tokenizer.beginning).toEqual([6]);
    const plain = await load(await folderOf({ 'tokenizer.json': { ...definition, post_processor: null } }));
    expect(plain.beginning).toEqual([]);
  });

  it.each([
    ['the config', { 'config.json': { eos_token_id: 4, bos_token_id: 2 } }, 4],
    ['the first of a list', { 'config.json': { eos_token_id: [3, 4] } }, 3],
    ['the config of the text part', { 'config.json': { text_config: { eos_token_id: 2 } } }, 2],
    [
      'the generation config',
      { 'config.json': { eos_token_id: null }, 'generation_config.json': { eos_token_id: 1 } },
      1,
    ],
    ['the tokenizer config', { 'tokenizer_config.json': { eos_token: '<eos>', bos_token: '<bos>' } }, 5],
    ['a token object', { 'tokenizer_config.json': { eos_token: { content: '<eos>' } } }, 5],
    ['beginning of text for want of an end', { 'tokenizer_config.json': { eos_token: null, bos_token: '<bos>' } }, 6],
    ['beginning of text where the end is -1', { 'config.json': { eos_token_id: -1, bos_token_id: 0 } }, 0],
    ['nothing', {}, undefined],
  ])('takes the separator from %s', async (_, files, expected) => {
    const tokenizer = await load(await folderOf({ 'tokenizer.json': definition, ...files }));
    expect(tokenizer.separatorId).toBe(expected);
  });

  it('splits a long text only where words are split before merging, and only at safe places', async () => {
    const vocab = { a: 0, b: 1, Ġ: 2, bĠ: 3, Ġa: 4 };
    const model = { ...definition.model, vocab, merges: [['b', 'Ġ']] };
    const long = 'ab '.repeat(50_000);
    const byWords = { ...definition, model, pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false } };
    const splitting = await load(await folderOf({ 'tokenizer.json': byWords }));
    const parts = [...splitting.parts(long)];
    expect(parts.length).toBe(5);
    expect(parts.flatMap((part) => splitting.encode(part))).toEqual(splitting.encode(long));

    const whole = await load(await folderOf({ 'tokenizer.json': { ...byWords, pre_tokenizer: null } }));
    expect([...whole.parts(long)]).toEqual([long]);

    const prefixed = { ...byWords, pre_tokenizer: { type: 'Split', pattern: { Regex: 'b |a' }, behavior: 'Isolated' } };
    const crossing = await load(
      await folderOf({
        'tokenizer.json': {
          ...prefixed,
          model: { ...model, vocab: { ...vocab, 'b ': 5, ' ': 6 }, merges: [['b', ' ']] },
        },
      }),
    );
    expect(crossing.encode('ab a')).toEqual([0, 5, 0]);
    expect([...crossing.parts(long)]).toEqual([long]);
  });

  it('says that a checkpoint has none', async () => {
    const folder = await folderOf({});
    const file = path.join(folder, 'tokenizer.json');
    await expect(load(folder)).rejects.toMatchObject({ code: 'missingTokenizer', details: { file } });
  });

  it.each([
    ['broken JSON', '{', 'malformedTokenizer', 'tokenizer.json'],
    ['a list', [], 'malformedTokenizer', 'tokenizer.json'],
    ['no model', { ...definition, model: undefined }, 'malformedTokenizer', 'tokenizer.json'],
    [
      'an unknown model',
      { ...definition, model: { type: 'Magic', vocab: {} } },
      'malformedTokenizer',
      'tokenizer.json',
    ],
    [
      'no vocabulary',
      { ...definition, added_tokens: [], model: { type: 'BPE', vocab: {}, merges: [] } },
      'malformedTokenizer',
      'tokenizer.json',
    ],
    [
      'a vocabulary that is a number',
      { ...definition, model: { type: 'BPE', vocab: 7, merges: [] } },
      'malformedTokenizer',
      'tokenizer.json',
    ],
    [
      'merges that are numbers',
      { ...definition, model: { type: 'BPE', vocab: { a: 0 }, merges: [7] } },
      'malformedTokenizer',
      'tokenizer.json',
    ],
    [
      'an unknown pre-tokenizer',
      { ...definition, pre_tokenizer: { type: 'Magic' } },
      'malformedTokenizer',
      'tokenizer.json',
    ],
  ])('refuses a file with %s', async (_, content, code, name) => {
    const folder = await folderOf({ 'tokenizer.json': content });
    await expect(load(folder)).rejects.toMatchObject({ code, details: { file: path.join(folder, name) } });
  });

  it('refuses ids that are no ids', async () => {
    const wrong = await folderOf({ 'tokenizer.json': definition, 'config.json': { eos_token_id: '</s>' } });
    await expect(load(wrong)).rejects.toMatchObject({ code: 'malformedConfig', details: { place: 'eos_token_id' } });
  });

  it('treats characters without a token as the reference library does', async () => {
    const without = await load(await folderOf({ 'tokenizer.json': definition }));
    expect(without.encode('abxa')).toEqual([3, 0]);
    const model = { ...definition.model, unk_token: 'c' };
    const unknown = await load(await folderOf({ 'tokenizer.json': { ...definition, model } }));
    expect(unknown.encode('abxa')).toEqual([3, 2, 0]);
  });
});
