import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import { TokenPieces } from '../../engine/checkpoint/tokenPieces';
import { loadTokenizer, type CheckpointTokenizer } from '../../engine/checkpoint/tokenizer';
import { chooseToken } from '../../engine/measure/tokenChoice';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';
import { samplePath } from '../support/brokenSamples';
import { temporaryFolder } from '../support/temporaryFolder';

async function byteLevelTokenizer(vocabulary: readonly string[]): Promise<CheckpointTokenizer> {
  const folder = path.join(await temporaryFolder(), 'model');
  writeTinyCheckpoint(tinyCheckpoints[0]!, folder);
  const definition = {
    version: '1.0',
    added_tokens: [{ id: vocabulary.length, content: '<end>', special: true, normalized: false }],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])), merges: [] },
  };
  await writeFile(path.join(folder, 'tokenizer.json'), JSON.stringify(definition));
  await writeFile(path.join(folder, 'tokenizer_config.json'), '{}');
  return loadTokenizer(await openCheckpoint(folder));
}

describe('pieces of text', () => {
  test('join to the whole, characters of several tokens appear with their last one, special tokens not at all', async () => {
    // The three bytes of € (E2 82 AC), as byte-level tokenizers write them.
    const tokenizer = await byteLevelTokenizer(['H', 'i', '\u0120', '\u00e2', '\u0124', '\u00ac']);
    const pieces = new TokenPieces(tokenizer);
    expect([0, 1, 2, 3, 4, 5, 6, 1].map((id) => pieces.add(id))).toEqual(['H', 'i', ' ', '', '', '€', '', 'i']);
  });

  test('bytes that never become a character are shown after a few tokens, and what follows is not lost', async () => {
    const tokenizer = await byteLevelTokenizer(['a', '\u00e2']);
    const pieces = new TokenPieces(tokenizer);
    const text = [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0].map((id) => pieces.add(id)).join('');
    expect(text).toBe(tokenizer.decode([1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]));
    expect(text.endsWith('aa')).toBe(true);
  });

  test('tokenizers that cut nothing put nothing between tokens', async () => {
    const tokenizer = await loadTokenizer(await openCheckpoint(samplePath));
    const text = 'copy ssrpp>ssrpp\nsub 1-2>';
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(tokenizer.decode([tokenizer.separatorId!, ...tokenizer.encode('ab')])).toBe('ab');
    expect(tokenizer.decode([1e6])).toBe('');
  });
});

describe('the choice of a token', () => {
  const logits = Float32Array.of(1, 3, 3, -2);

  test('is the first of the most likely ones at temperature 0, with its probability', () => {
    const { id, probability } = chooseToken(logits, 0, new SeededRandom(0));
    const weights = [...logits].map((value) => Math.exp(value - 3));
    expect(id).toBe(1);
    expect(probability).toBeCloseTo(1 / weights.reduce((sum, value) => sum + value), 12);
  });

  test.each([0.5, 1, 3])('follows softmax(logits / %f)', (temperature) => {
    const random = new SeededRandom(7);
    const counts = [0, 0, 0, 0];
    const draws = 20_000;
    for (let draw = 0; draw < draws; draw += 1) {
      counts[chooseToken(logits, temperature, random).id]! += 1;
    }
    const weights = [...logits].map((value) => Math.exp(value / temperature));
    const sum = weights.reduce((total, value) => total + value);
    counts.forEach((count, id) => expect(count / draws).toBeCloseTo(weights[id]! / sum, 1));
  });

  test('is the same for the same seed, and finite for large logits and small temperatures', () => {
    const draw = (seed: number) => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 20 }, () => chooseToken(logits, 2, random).id);
    };
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
    expect(chooseToken(Float32Array.of(1e30, -1e30), 1e-6, new SeededRandom(0))).toEqual({ id: 0, probability: 1 });
  });
});
