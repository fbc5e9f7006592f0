import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { quantizeBlocks } from '../../engine/export/gguf/blockQuantization';
import { ggufArchitectures } from '../../engine/export/gguf/architectures';
import { preTokenizerName } from '../../engine/export/gguf/preTokenizers';
import { rotaryRows } from '../../engine/export/gguf/rotaryRows';
import { stackedExpertFamilies, tensorTypesName } from '../../engine/export/gguf/tensorTypes';
import { llamaCppArchitectures } from '../../engine/export/llamaCppArchitectures';
import { apply } from '../../engine/jobs/apply';
import { quietJob } from '../../engine/measure/jobContext';
import { dequantize } from '../../engine/methods/quantize/quantizedMatrix';
import { roundToNearest } from '../../engine/methods/quantize/roundToNearest';
import type { TargetName } from '../../engine/protocol/apply';
import type { PlanQuantize } from '../../engine/protocol/plan';
import { decodeGguf } from '../support/ggufReader';
import { temporaryFolder } from '../support/temporaryFolder';
import blocksOfGguf from '../golden/gguf/blocks.json';

const golden = path.resolve(import.meta.dirname, '../golden/families');
const types = ['Q4_0', 'Q4_1', 'Q8_0'] as const;

/** Little-endian float32 numbers. */
function floats(hexadecimal: string): Float32Array {
  const bytes = Buffer.from(hexadecimal, 'hex');
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(4 * at));
}

/** Zeros have one sign in comparisons. */
const decode = (bytes: Uint8Array, type: string) =>
  Float32Array.from(decodeGguf({ type, shape: [bytes.length], data: Buffer.from(bytes) }), (value) => value + 0);

/** Weights like those of experts, the same every time. */
function weights(count: number): Float32Array {
  let state = 12345;
  const uniform = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: count }, () => (uniform() + uniform() + uniform() - 1.5) * 0.05);
}

const squaredError = (one: Float32Array, other: Float32Array) =>
  one.reduce((sum, value, at) => sum + (value - other[at]!) ** 2, 0);

describe('blocks of GGUF files', () => {
  test.each(types)('%s has the bytes of the Python package of llama.cpp', (type) => {
    for (const [at, block] of blocksOfGguf.blocks.entries()) {
      const name = type.toLowerCase() as Lowercase<typeof type>;
      const bytes = quantizeBlocks(floats(block.values), type);
      expect(Buffer.from(bytes).toString('hex'), `block ${at}`).toBe(block[name]);
      const values = floats(block[`${name}Values`]);
      expect(decode(bytes, type), `block ${at}`).toEqual(values.map((value) => value + 0));
    }
  });

  test('rounding twice costs at 4 bits and hardly at 8', () => {
    const values = weights(64 * 128);
    const cost = (bits: 4 | 8) => {
      const type = bits === 4 ? 'Q4_0' : 'Q8_0';
      const once = decode(quantizeBlocks(values, type), type);
      const rounded = dequantize(
        roundToNearest({ values, rows: 64, columns: 128 }, { bits, group: 32, symmetric: true }),
      );
      const twice = decode(quantizeBlocks(rounded, type), type);
      return squaredError(twice, values) / squaredError(once, values);
    };
    expect(cost(4)).toBeGreaterThan(1.3);
    expect(cost(8)).toBeLessThan(1.05);
  });

  test('rows of other lengths are refused', () => {
    expect(() => quantizeBlocks(weights(40), 'Q8_0')).toThrow(/no whole blocks/);
  });
});

test('rotary rows move between the pairings and back', () => {
  const facts = { heads: 2, headSize: 10, first: 2, dimensions: 6 };
  const there = rotaryRows({ ...facts, from: 'half', to: 'interleaved' })!;
  // Values 0, 1, 2 of the turned part are paired with 3, 4, 5.
  expect([...there.subarray(0, 10)]).toEqual([0, 1, 2, 5, 3, 6, 4, 7, 8, 9]);
  expect([...there.subarray(10)]).toEqual([...there.subarray(0, 10)].map((row) => row + 10));
  const back = rotaryRows({ ...facts, from: 'interleaved', to: 'half' })!;
  expect([...back].map((row) => there[row])).toEqual(Array.from({ length: 20 }, (_, at) => at));
  expect(rotaryRows({ ...facts, from: 'half', to: 'half' })).toBeUndefined();
});

test('pre-tokenizers are known by their patterns alone', () => {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
  const split = (pattern: string) => ({
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
    invert: false,
  });
  const sequence = (...pretokenizers: object[]) => ({ type: 'Sequence', pretokenizers });
  const last = { ...byteLevel, use_regex: false };
  const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  const llama = String.raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
  const nameOf = (step: object, model = {}) => preTokenizerName({ pre_tokenizer: step, model });
  expect(nameOf(byteLevel)).toBe('gpt-2');
  expect(nameOf(sequence({ type: 'Digits', individual_digits: true }, byteLevel))).toBe('starcoder');
  expect(nameOf(sequence(split(llama.replace('{1,3}', '')), last))).toBe('qwen2');
  expect(nameOf(sequence(split(llama), last), { ignore_merges: true })).toBe('llama-bpe');
  expect(nameOf(sequence(split(llama), last))).toBe('dbrx');
  expect(nameOf(sequence(split(`${llama}|x`), last))).toBeUndefined();
  expect(nameOf({ ...byteLevel, add_prefix_space: true })).toBeUndefined();
  expect(nameOf({ type: 'Whitespace' })).toBeUndefined();
});

/** Reads a list as llama-quantize does: words at white space, names in lower case, the first expression that is found. */
function typeOf(list: string, tensor: string): string | undefined {
  return list
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => word.split('='))
    .find(([name]) => new RegExp(name!.toLowerCase()).test(tensor))?.[1];
}

async function applied(family: string, quantize: Partial<PlanQuantize>, target: TargetName = 'llama.cpp') {
  const root = await temporaryFolder();
  const plan = path.join(root, 'some.moeplan.json');
  const section = { method: 'rtn', group: 32, symmetric: true, scope: 'experts', seed: 0, ...quantize };
  await writeFile(plan, JSON.stringify({ version: 1, quantize: section }));
  const out = path.join(root, 'written');
  const result = await apply({ checkpoint: path.join(golden, family), plan, target, out }, quietJob());
  const listed = result.files.some(({ name }) => name === tensorTypesName);
  return {
    notes: result.notes.join('\n'),
    list: listed ? await readFile(path.join(out, tensorTypesName), 'utf8') : '',
  };
}

describe('the list of tensor types for llama.cpp', () => {
  test('gives every expert tensor its own type and leaves the others', async () => {
    const { list, notes } = await applied('olmoe', {
      layers: [8, { gate: 4, up: 4, down: 8 }, 16, { down: [4, 4, 8, 4, 4, 4, 4, 4] }],
    });
    const expected = {
      0: ['q8_0', 'q8_0', 'q8_0'],
      1: ['q4_0', 'q4_0', 'q8_0'],
      2: ['f32', 'f32', 'f32'],
      3: ['f32', 'f32', 'q8_0'],
    };
    const plain = typeOf(list, 'token_embd.weight')!;
    for (const [layer, [gate, up, down]] of Object.entries(expected)) {
      const of = (name: string) => typeOf(list, `blk.${layer}.ffn_${name}_exps.weight`);
      const named = [gate, up, down].map((type) => (type === 'f32' ? plain : type));
      expect([of('gate'), of('up'), of('down')], layer).toEqual(named);
    }
    for (const name of ['output.weight', 'blk.0.attn_q.weight', 'blk.13.ffn_down_shexp.weight']) {
      expect(typeOf(list, name), name).toBe(plain);
    }
    expect(['f32', 'bf16']).toContain(plain);
    expect(notes).toMatch(/--allow-requantize --tensor-type-file tensor-types.txt model.gguf OUT.gguf Q8_0/);
  });

  test('takes blocks that divide the rows, and other types for codes with zero points', async () => {
    const few = await applied('olmoe', { layers: [3, 2, 4, 8], symmetric: false });
    expect(few.list).toMatch(/^blk\\\.0\\\.ffn_gate_exps=q4_0$/m);
    expect(few.list).toMatch(/^blk\\\.2\\\.ffn_down_exps=q4_1$/m);
  });

  test('is not written for other targets, nor for families whose names are not certain', async () => {
    expect((await applied('olmoe', { layers: [8, 8, 8, 8] }, 'huggingface')).list).toBe('');
    for (const family of stackedExpertFamilies) {
      expect(Object.keys(llamaCppArchitectures)).toContain(family);
    }
    for (const [family, { name }] of Object.entries(ggufArchitectures)) {
      expect(llamaCppArchitectures[family], family).toBe(name);
    }
    const unnamed = await applied('llama4_text', { layers: [8, 8, 8, 8] });
    expect(unnamed.list).toBe('');
    expect(unnamed.notes).toMatch(/not certain/);
  });
});
