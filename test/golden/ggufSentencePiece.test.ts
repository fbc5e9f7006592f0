import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { ggufHeader } from '../../engine/export/gguf/ggufHeader';
import { tokenizerMetadata } from '../../engine/export/gguf/tokenizerMetadata';
import { failureOf } from '../support/failureOf';
import { readGguf } from '../support/ggufReader';
import { goldenFamiliesFolder } from '../support/reference/golden';
import { sentencePieceTokens } from '../support/sentencePieceReader';
import { temporaryFolder } from '../support/temporaryFolder';
import golden from './gguf/sentencePiece.json';

/** Rows of the embedding, some more than there are tokens. */
const size = 704;

type Variant = keyof typeof golden.variants;

/** The metadata of a checkpoint of Mixtral with another tokenizer, through a file. */
async function written(definition: object) {
  const folder = path.join(await temporaryFolder(), 'checkpoint');
  await cp(path.join(goldenFamiliesFolder, 'mixtral'), folder, { recursive: true });
  await writeFile(path.join(folder, 'tokenizer.json'), JSON.stringify(definition));
  const { keys, notes } = await tokenizerMetadata(await openCheckpoint(folder), size);
  const file = path.join(folder, 'vocabulary.gguf');
  await writeFile(file, ggufHeader(new Map(keys), []));
  return { metadata: readGguf(file).metadata, notes };
}

function definitionOf(variant: Variant): Record<string, unknown> {
  const { normalizer, pre_tokenizer } = golden.variants[variant];
  return { ...golden.definition, normalizer, pre_tokenizer };
}

describe('tokenizers of SentencePiece in GGUF files', () => {
  test.each(['prepend', 'metaspace', 'plain'] as const)('%s gives the ids of llama.cpp', async (variant) => {
    const { metadata, notes } = await written(definitionOf(variant));
    const { tokens, llamaCpp } = golden.variants[variant];
    const found = golden.texts.map((text) => sentencePieceTokens(metadata, text));
    expect(found).toEqual(llamaCpp);
    // And with that the ids of the tokenizer, where the text spells no special token and metaspaces are not in question.
    const comparable = golden.texts.flatMap((text, at) =>
      text.includes('<s>') || (variant === 'metaspace' && /^ |\[TOOL\]/.test(text)) ? [] : [at],
    );
    expect(comparable.length).toBeGreaterThan(8);
    for (const at of comparable) {
      expect(found[at], golden.texts[at]).toEqual(tokens[at]);
    }
    expect(notes.join()).toMatch(variant === 'metaspace' ? /before every text/ : /^$/);
  });

  test('tokens have the types and scores that llama.cpp wants', async () => {
    const { metadata } = await written(definitionOf('prepend'));
    const of = (key: string) => metadata.get(`tokenizer.ggml.${key}`);
    const types = of('token_type') as number[];
    const tokens = of('tokens') as string[];
    expect(types.slice(0, 3)).toEqual([2, 3, 3]);
    expect(types.slice(3, 259).every((type) => type === 6)).toBe(true);
    expect([tokens[700], ...types.slice(699)]).toEqual(['[TOOL]', 1, 4, 5, 5, 5]);
    expect([of('model'), of('pre'), of('add_space_prefix'), of('add_bos_token')]).toEqual([
      'llama',
      'default',
      true,
      true,
    ]);
    expect([of('unknown_token_id'), of('bos_token_id'), of('eos_token_id')]).toEqual([0, 1, 2]);
    const scores = of('scores') as number[];
    const merges = golden.definition.model.merges as [string, string][];
    const made = merges.map((merge) => scores[tokens.indexOf(merge.join(''))]!);
    expect(made.every((score, at) => at === 0 || score < made[at - 1]!)).toBe(true);
    expect(Math.max(...scores.filter((_, id) => types[id] !== 1))).toBeLessThan(Math.min(...made));
  });

  test('what llama.cpp would do differently is refused', async () => {
    const plain = definitionOf('prepend');
    const metaspace = definitionOf('metaspace');
    const refused: readonly (readonly [object, RegExp])[] = [
      [{ ...plain, normalizer: { type: 'Sequence', normalizers: [plain['normalizer'], { type: 'NFKC' }] } }, /NFKC/],
      [{ ...plain, pre_tokenizer: { type: 'Digits', individual_digits: true } }, /cuts nothing.*Digits/],
      [{ ...plain, normalizer: null }, /spells spaces/],
      [{ ...metaspace, model: { ...golden.definition.model, end_of_word_suffix: '</w>' } }, /word parts/],
    ];
    for (const [definition, reason] of refused) {
      const error = await failureOf(written(definition), reason.source);
      expect([error.code, error.message]).toEqual(['unsupportedFeature', expect.stringMatching(reason)]);
    }
  });
});
