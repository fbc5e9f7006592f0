import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { blockTypes, packBlocks, quantizeBlocks, type BlockType } from '../../engine/export/gguf/blockQuantization';
import { stackedExpertFamilies, tensorTypesName } from '../../engine/export/gguf/tensorTypes';
import { llamaCppArchitectures } from '../../engine/export/llamaCppArchitectures';
import { apply } from '../../engine/jobs/apply';
import { quietJob } from '../../engine/measure/jobContext';
import { dequantize } from '../../engine/methods/quantize/quantizedMatrix';
import { roundToNearest } from '../../engine/methods/quantize/roundToNearest';
import type { TargetName } from '../../engine/protocol/apply';
import type { PlanQuantize } from '../../engine/protocol/plan';
import { temporaryFolder } from '../support/temporaryFolder';
import blocksOfGguf from '../golden/gguf/blocks.json';

const golden = path.resolve(import.meta.dirname, '../golden/families');
const types = ['q4_0', 'q8_0'] as const;

/** Little-endian float32 numbers. */
function floats(hexadecimal: string): Float32Array {
  const bytes = Buffer.from(hexadecimal, 'hex');
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(4 * at));
}

/** Value of float16 bits, from the definition of the format. */
function float16(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size =
    exponent === 31 ? Infinity : exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

/** Reads blocks weight by weight, sharing nothing with what writes them. */
function decode(blocks: Uint8Array, type: BlockType): Float32Array {
  const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.byteLength);
  const size = blockTypes[type].bytes;
  return Float32Array.from({ length: (blocks.length / size) * 32 }, (_, at) => {
    const start = Math.floor(at / 32) * size;
    const inBlock = at % 32;
    const scale = float16(view.getUint16(start, true));
    const code =
      type === 'q8_0'
        ? view.getInt8(start + 2 + inBlock)
        : ((view.getUint8(start + 2 + (inBlock % 16)) >> (inBlock < 16 ? 0 : 4)) & 15) - 8;
    // Zeros have one sign in comparisons.
    return code * scale + 0;
  });
}

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
      const bytes = quantizeBlocks(floats(block.values), type);
      expect(Buffer.from(bytes).toString('hex'), `block ${at}`).toBe(block[type]);
      const values = floats(block[`${type}Values`]);
      expect(decode(bytes, type), `block ${at}`).toEqual(values.map((value) => value + 0));
    }
  });

  test.each([4, 8] as const)('codes of %i bits in groups of 32 become blocks without another rounding', (bits) => {
    const type = bits === 4 ? 'q4_0' : 'q8_0';
    const matrix = roundToNearest(
      { values: weights(8 * 96), rows: 8, columns: 96 },
      { bits, group: 32, symmetric: true },
    );
    const packed = packBlocks(matrix);
    expect(packed.length).toBe(8 * 3 * blockTypes[type].bytes);
    expect(decode(packed, type)).toEqual(dequantize(matrix).map((value) => value + 0));
  });

  test('rounding twice costs at 4 bits and hardly at 8', () => {
    const values = weights(64 * 128);
    const cost = (bits: 4 | 8) => {
      const type = bits === 4 ? 'q4_0' : 'q8_0';
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

  test('other formats are refused', () => {
    const matrix = { values: weights(64), rows: 1, columns: 64 };
    for (const format of [
      { bits: 4, group: 16, symmetric: true },
      { bits: 4, group: 32, symmetric: false },
      { bits: 3, group: 32, symmetric: true },
    ] as const) {
      expect(() => packBlocks(roundToNearest(matrix, format))).toThrow(/no blocks of a GGUF file/);
    }
    expect(() => quantizeBlocks(weights(40), 'q8_0')).toThrow(/no whole blocks/);
  });
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
    expect(notes).toMatch(new RegExp(`--outtype ${plain}.*--tensor-type-file tensor-types.txt IN.gguf OUT.gguf Q8_0`));
    expect(notes).toMatch(/most of them/);
    expect(notes).toMatch(/rounded twice/);
  });

  test('takes blocks that divide the rows, and other types for codes with zero points', async () => {
    const few = await applied('olmoe', { layers: [3, 2, 4, 8], symmetric: false });
    expect(few.list).toMatch(/^blk\\\.0\\\.ffn_gate_exps=q4_0$/m);
    expect(few.list).toMatch(/^blk\\\.2\\\.ffn_down_exps=q4_1$/m);
    expect(few.notes).toMatch(/do not divide the rows/);
  });

  test('is not written for other targets, nor for families whose names are not certain', async () => {
    expect((await applied('olmoe', { layers: [8, 8, 8, 8] }, 'huggingface')).list).toBe('');
    for (const family of stackedExpertFamilies) {
      expect(Object.keys(llamaCppArchitectures)).toContain(family);
    }
    const unnamed = await applied('llama4_text', { layers: [8, 8, 8, 8] });
    expect(unnamed.list).toBe('');
    expect(unnamed.notes).toMatch(/not certain/);
  });
});
