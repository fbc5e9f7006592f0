import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { apply } from '../../engine/jobs/apply';
import { quietJob } from '../../engine/measure/jobContext';
import { targetNames, type TargetName } from '../../engine/protocol/apply';
import { failureOf } from '../support/failureOf';
import { goldenFamiliesFolder } from '../support/reference/golden';
import { readCheckpointTensors, readTensorFile, type Tensor } from '../support/reference/readTensors';
import { rounded } from '../support/roundingOracle';
import { temporaryFolder } from '../support/temporaryFolder';

async function prepared(family: string, section: object, target: TargetName) {
  const root = await temporaryFolder();
  const plan = path.join(root, 'some.moeplan.json');
  const quantize = { method: 'rtn', group: 32, symmetric: true, scope: 'experts', seed: 0, ...section };
  await writeFile(plan, JSON.stringify({ version: 1, quantize }));
  const out = path.join(root, 'written');
  const checkpoint = path.join(goldenFamiliesFolder, family);
  return { root, out, run: () => apply({ checkpoint, plan, target, out }, quietJob()) };
}

/** A group of the config as compressed-tensors describes it. */
interface ConfigGroup {
  readonly targets: readonly string[];
  readonly weights: {
    readonly num_bits: number;
    readonly type: string;
    readonly strategy: string;
    readonly group_size: number;
    readonly symmetric: boolean;
  };
}

interface QuantizationConfig {
  readonly quant_method: string;
  readonly format: string;
  readonly ignore: readonly string[];
  readonly config_groups: Readonly<Record<string, ConfigGroup>>;
}

/** Python's `re.match`, which loaders try module names with: from the start, to anywhere. */
const matches = (pattern: string, name: string) =>
  pattern.startsWith('re:') ? new RegExp(`^(?:${pattern.slice(3)})`).test(name) : pattern === name;

/** Codes of one row or column: whole words, the lowest bits first. */
function unpack(words: Float64Array, count: number, bits: number, at = 0, stride = 1): number[] {
  const perWord = Math.floor(32 / bits);
  return Array.from({ length: count }, (_, code) => {
    const word = BigInt.asUintN(32, BigInt(words[at + Math.floor(code / perWord) * stride]!));
    return Number((word >> BigInt(bits * (code % perWord))) & BigInt(2 ** bits - 1));
  });
}

/** weight = (stored code - 2^(bits-1) - (stored zero point - 2^(bits-1))) · scale; without zero points the zero is 0. */
function decode(
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  { num_bits: bits, group_size: group }: ConfigGroup['weights'],
) {
  const part = (suffix: string) => tensors.get(`${name}.${suffix}`);
  const [rows, columns] = part('weight_shape')!.data as unknown as [number, number];
  const [packed, scale, zeros] = [part('weight_packed')!, part('weight_scale')!, part('weight_zero_point')];
  const perWord = Math.floor(32 / bits);
  const words = Math.ceil(columns / perWord);
  const groups = columns / group;
  expect([packed.shape, scale.shape], name).toEqual([
    [rows, words],
    [rows, groups],
  ]);
  const zeroOf =
    zeros === undefined
      ? undefined
      : Array.from({ length: groups }, (_, at) => unpack(zeros.data, rows, bits, at, groups));
  if (zeros !== undefined) {
    expect(zeros.shape, name).toEqual([Math.ceil(rows / perWord), groups]);
  }
  const values = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row += 1) {
    const codes = unpack(packed.data, columns, bits, row * words);
    for (const [column, code] of codes.entries()) {
      const inGroup = Math.floor(column / group);
      const zero = zeroOf?.[inGroup]![row] ?? 2 ** (bits - 1);
      values[row * columns + column] = (code - zero) * scale.data[row * groups + inGroup]!;
    }
  }
  return values;
}

describe('compressed-tensors as its loaders read it', () => {
  test.each([true, false])('symmetric %s: names, words, config groups and what is ignored', async (symmetric) => {
    const bits = [4, 8, 16, 4];
    const { out, run } = await prepared('olmoe', { layers: bits, symmetric }, 'compressed-tensors');
    const { bytes, predictedBytes } = await run();
    expect(bytes).toBe(predictedBytes);
    const config = JSON.parse(await readFile(path.join(out, 'config.json'), 'utf8')) as {
      quantization_config: QuantizationConfig;
    };
    const { quant_method: method, format, ignore, config_groups: groups } = config.quantization_config;
    expect([method, format]).toEqual(['compressed-tensors', 'pack-quantized']);
    const tensors = readTensorFile(path.join(out, 'model.safetensors'));
    const original = readCheckpointTensors(path.join(goldenFamiliesFolder, 'olmoe'));
    const covered = new Set<string>();
    for (const [weight, { data, shape }] of original) {
      const name = weight.replace(/\.weight$/, '');
      const layer = /layers\.(\d+)\.mlp\.experts\./.exec(name)?.[1];
      const width = layer === undefined ? 16 : bits[Number(layer)]!;
      const ignored = ignore.some((pattern) => matches(pattern, name));
      expect(ignored, name).toBe(width === 16);
      if (ignored) {
        expect([tensors.get(weight)!.shape, tensors.get(weight)!.data], name).toEqual([shape, data]);
        covered.add(weight);
        continue;
      }
      const found = Object.values(groups).filter(({ targets }) => targets.some((target) => matches(target, name)));
      expect(found, name).toHaveLength(1);
      const { weights } = found[0]!;
      expect([weights.num_bits, weights.type, weights.strategy, weights.group_size, weights.symmetric]).toEqual([
        width,
        'int',
        'group',
        32,
        symmetric,
      ]);
      const parts = ['weight_packed', 'weight_scale', 'weight_shape', ...(symmetric ? [] : ['weight_zero_point'])];
      parts.forEach((part) => covered.add(`${name}.${part}`));
      const values = decode(tensors, name, weights);
      if (symmetric) {
        const wanted = rounded(data, width);
        expect(
          values.findIndex((value, at) => value !== wanted[at]),
          name,
        ).toBe(-1);
      } else {
        // Levels span the group, and the zero point is one of them: no weight is further from its own than a step.
        const scale = tensors.get(`${name}.weight_scale`)!.data;
        const far = values.findIndex((value, at) => Math.abs(value - data[at]!) > 1.01 * scale[Math.floor(at / 32)]!);
        expect(far, name).toBe(-1);
      }
    }
    expect([...tensors.keys()].sort()).toEqual([...covered].sort());
  });

  test('what would be lost is refused before weights are rounded', async () => {
    const attention = await prepared('olmoe', { layers: [4, 4, 4, 4], scope: 'all', others: 8 }, 'compressed-tensors');
    const error = await failureOf(attention.run());
    expect([error.code, error.message]).toEqual([
      'unsupportedFeature',
      expect.stringMatching(/attention and dense layers to 8 bits/),
    ]);
    const mixed = await prepared('olmoe', { layers: [{ gate: 4, up: 4, down: 8 }, 4, 4, 4] }, 'compressed-tensors');
    expect((await failureOf(mixed.run())).message).toMatch(/one bit width per layer.*decoder layer 0/);
    const together = await prepared('granitemoe', { layers: [4, 4, 4, 4] }, 'compressed-tensors');
    expect((await failureOf(together.run())).message).toMatch(/hold the experts of a layer together/);
    for (const { root } of [attention, mixed, together]) {
      expect(await readdir(root)).toEqual(['some.moeplan.json']);
    }
  });
});

test.each(targetNames)(
  '%s writes nothing for a plan that rounds nothing or whose groups do not divide the rows',
  async (target) => {
    for (const [section, reason] of [
      [{ layers: [16, 16, 16, 16] }, /quantizes nothing/],
      [{ layers: [4, 4, 4, 4], group: 48 }, /group of 48 weights does not divide the (64|32) inputs/],
    ] as const) {
      const { root, run } = await prepared('olmoe', section, target);
      const error = await failureOf(run(), target);
      expect([error.code, error.message]).toEqual(['malformedPlan', expect.stringMatching(reason)]);
      expect(await readdir(root)).toEqual(['some.moeplan.json']);
    }
  },
);

test('groups that do not divide the rows of attention are refused by name', async () => {
  const { root, run } = await prepared('deepseek_v3', { layers: [4, 4, 4], scope: 'all', others: 8 }, 'huggingface');
  const error = await failureOf(run());
  expect([error.code, error.message]).toEqual([
    'malformedPlan',
    expect.stringMatching(/32 weights does not divide the 48 inputs/),
  ]);
  expect(await readdir(root)).toEqual(['some.moeplan.json']);
});

test('the scope "all" reaches a folder for Transformers: attention as it is rounded, the rest as the checkpoint has it', async () => {
  const { out, run } = await prepared('olmoe', { layers: [4, 16, 16, 16], scope: 'all', others: 8 }, 'huggingface');
  await run();
  const tensors = readTensorFile(path.join(out, 'model.safetensors'));
  // Rounded weights are stored in the type of the checkpoint, which holds eight significant bits.
  const nearest = (value: number, wanted: number) => Math.abs(value - wanted) <= Math.abs(wanted) * 2 ** -8;
  for (const [name, { data }] of readCheckpointTensors(path.join(goldenFamiliesFolder, 'olmoe'))) {
    const bits = /self_attn\.[qkvo]_proj/.test(name) ? 8 : name.includes('layers.0.mlp.experts') ? 4 : 16;
    const wanted = bits === 16 ? data : rounded(data, bits);
    const written = tensors.get(name)!.data;
    const wrong = written.findIndex((value, at) => (bits === 16 ? value !== wanted[at] : !nearest(value, wanted[at]!)));
    expect(wrong, name).toBe(-1);
  }
});
