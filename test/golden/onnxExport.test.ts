import { link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProto_DataType as DataType } from 'onnx-buf';
import { InferenceSession } from 'onnxruntime-node';
import { afterAll, describe, expect, test } from 'vitest';
import { applyOnnx } from '../../engine/jobs/applyOnnx';
import { generate } from '../../engine/jobs/generate';
import { openModel } from '../../engine/jobs/openModel';
import { openPlannedModel } from '../../engine/jobs/plannedModel';
import { quietJob } from '../../engine/measure/jobContext';
import { generateParamsSchema } from '../../engine/protocol/generation';
import type { Plan } from '../../engine/protocol/plan';
import { DecoderSession } from '../../engine/runtime/decoderSession';
import { samplePath } from '../support/brokenSamples';
import { engineLogits, testRuntime } from '../support/engineRun';
import { testServices } from '../support/engineServices';
import { failureOf } from '../support/failureOf';
import { hasOnnxChecker, onnxFindings } from '../support/onnxChecker';
import { temporaryFolder } from '../support/temporaryFolder';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/** What `apply --target onnx` writes computes what the streamed forward computes, at once and token by token. */

const familiesFolder = path.join(import.meta.dirname, 'families');
const families = (await readdir(familiesFolder)).sort();

const tolerance = 1e-3;
/** Longer than the sliding windows and the chunks of the small checkpoints. */
const longRun = { promptLength: 52, generatedTokens: 64 };
/** As long as the rotary scalings and windows of the tiny checkpoints need. */
const shortRun = { promptLength: 20, generatedTokens: 6 };

/** Every model that a test of this file wrote, kept for the last one. */
const written: string[] = [];
const keptModels = await mkdtemp(path.join(tmpdir(), 'moe-tuner-models-'));
afterAll(() => rm(keptModels, { recursive: true, force: true }));

/** Links the files of a model, which is deleted with its test, into a folder that stays. */
async function keepModel(out: string): Promise<void> {
  const folder = path.join(keptModels, String(written.length));
  await mkdir(folder);
  for (const name of ['model.onnx', 'model.onnx.data']) {
    await link(path.join(out, name), path.join(folder, name));
  }
  written.push(path.join(folder, 'model.onnx'));
}

async function exportPlan(
  checkpoint: string,
  plan: Partial<Plan>,
): Promise<{ plan: string; out: string; notes: readonly string[] }> {
  const root = await temporaryFolder();
  const file = path.join(root, 'some.moeplan.json');
  await mkdir(root, { recursive: true });
  await writeFile(file, JSON.stringify({ version: 1, ...plan }));
  const out = path.join(root, 'exported');
  const result = await applyOnnx({ checkpoint, plan: file, target: 'onnx', out }, quietJob());
  await keepModel(out);
  expect(result.predictedBytes).toBe(result.bytes);
  expect(result.files.map(({ name }) => name).sort()).toEqual((await readdir(out)).sort());
  return { plan: file, out, notes: result.notes };
}

/** Compares an export with the streamed forward of the same plan: two prompts, then greedy generation with the cache. */
async function compare(
  checkpoint: string,
  exported: { plan: string; out: string },
  { promptLength, generatedTokens } = longRun,
): Promise<void> {
  const model = await openModel(checkpoint);
  const planned = await openPlannedModel(model, { plan: exported.plan }, quietJob());
  const vocabulary = model.resolved.vocabularySize;
  const batch = 2;
  const sequences = Array.from({ length: batch }, (_, row) =>
    Array.from({ length: promptLength }, (__, at) => (7 + 31 * at + 13 * row * at + row) % vocabulary),
  );
  const session = await DecoderSession.open(path.join(exported.out, 'model.onnx'), batch, testRuntime);
  try {
    const steps: { readonly from: number; readonly values: Float32Array }[] = [];
    let ids = sequences.flat();
    for (let step = 0; step <= generatedTokens; step += 1) {
      const { values, time } = await session.append(BigInt64Array.from(ids, BigInt));
      steps.push({ from: session.length - time, values });
      ids = sequences.map((_, row) => bestToken(values, ((row + 1) * time - 1) * vocabulary, vocabulary));
      ids.forEach((id, row) => sequences[row]!.push(id));
    }
    const decoder = planned.decoder(model.resolved.decoder());
    const whole = sequences.map((sequence) => Int32Array.from(sequence));
    const expected = await engineLogits({ ...model.resolved, decoder: () => decoder }, whole, planned.activeExperts);
    const length = promptLength + generatedTokens + 1;
    for (const { from, values } of steps) {
      const time = values.length / batch / vocabulary;
      for (let row = 0; row < batch; row += 1) {
        const start = (row * length + from) * vocabulary;
        const wanted = expected.subarray(start, start + time * vocabulary);
        const found = values.subarray(row * time * vocabulary, (row + 1) * time * vocabulary);
        expect(largestDifference(found, wanted), `position ${from}`).toBeLessThan(tolerance);
        const last = (time - 1) * vocabulary;
        expect(bestToken(found, last, vocabulary)).toBe(bestToken(wanted, last, vocabulary));
      }
    }
  } finally {
    await session.dispose();
    await planned.dispose();
  }
}

function bestToken(values: Float32Array, start: number, vocabulary: number): number {
  const logits = values.subarray(start, start + vocabulary);
  return logits.indexOf(logits.reduce((most, value) => Math.max(most, value), -Infinity));
}

function largestDifference(left: Float32Array, right: Float32Array): number {
  expect(left).toHaveLength(right.length);
  return left.reduce((most, value, at) => Math.max(most, Math.abs(value - right[at]!)), 0);
}

async function trained(checkpoint: string): Promise<{ layers: number; active: number; experts: number }> {
  const { resolved } = await openModel(checkpoint);
  return { layers: resolved.blocks.length, active: resolved.activeExperts, experts: resolved.experts };
}

describe.each([...families.map((name) => path.join(familiesFolder, name)), samplePath])('%s', (checkpoint) => {
  test('as it was trained', async () => {
    const { layers, active } = await trained(checkpoint);
    await compare(checkpoint, await exportPlan(checkpoint, { activeExperts: Array<number>(layers).fill(active) }));
  });
});

/**
 * What the golden families do not have: short convolutions, long rotary scalings, chunks, norms after the branches, other activations,
 * storages, multipliers.
 */
const special = /lfm2|longrope|yarn|chunked|exaone|granite.*multipliers|mxfp4|minimax_m2|minicpm|dbrx|hunyuan|fp8/;
const specialCheckpoints = tinyCheckpoints.filter(({ name }) => special.test(name));

test('rotary frequencies that change with the length are exact up to the length that is stated', async () => {
  const tiny = tinyCheckpoints.find(({ name }) => name.endsWith('mixtral-dynamic-rope'))!;
  const checkpoint = writeTinyCheckpoint(tiny, path.join(await temporaryFolder(), 'tiny'));
  const { resolved } = await openModel(checkpoint);
  const activeExperts = resolved.blocks.map((block) => block.activeExperts);
  const exported = await exportPlan(checkpoint, { activeExperts });
  const config = JSON.parse(await readFile(path.join(exported.out, 'genai_config.json'), 'utf8')) as {
    model: { context_length: number };
  };
  expect(config.model.context_length).toBe(24);
  expect(exported.notes.join()).toMatch(/past 24 tokens/);
  await compare(checkpoint, exported, { promptLength: 17, generatedTokens: 6 });
  const ids = Array.from({ length: 20 }, (_, at) => at);
  const params = generateParamsSchema.parse({ checkpoint, ids, tokens: 5 });
  const { services } = testServices(await temporaryFolder());
  expect((await failureOf(generate(params, services, quietJob()))).message).toMatch(/24 positions/);
});

test('tiny checkpoints of all these are here', () => {
  expect(specialCheckpoints.length).toBeGreaterThan(10);
});

describe.each(specialCheckpoints.map((checkpoint) => [checkpoint.name, checkpoint] as const))('%s', (_, tiny) => {
  test('as it was made', async () => {
    const checkpoint = writeTinyCheckpoint(tiny, path.join(await temporaryFolder(), 'tiny'));
    const { resolved } = await openModel(checkpoint);
    const activeExperts = resolved.blocks.map((block) => block.activeExperts);
    await compare(checkpoint, await exportPlan(checkpoint, { activeExperts }), shortRun);
  });
});

describe.each(['deepseek_v3', 'gpt_oss', 'llama4_text', 'olmoe', 'qwen2_moe'])('%s with a plan', (name) => {
  const checkpoint = path.join(familiesFolder, name);

  test('different active experts per layer', async () => {
    const { layers, active } = await trained(checkpoint);
    const activeExperts = Array.from({ length: layers }, (_, at) => 1 + ((at * 2) % active));
    const exported = await exportPlan(checkpoint, { activeExperts });
    await compare(checkpoint, exported);
    expect(await moeAttributes(exported.out, 'k')).toEqual(activeExperts);
  });

  test('different numbers of experts per layer', async () => {
    const { layers, experts } = await trained(checkpoint);
    const groups = name === 'deepseek_v3' ? 4 : 1;
    const keep = Array.from({ length: layers }, (_, layer) => everyGroup(experts, groups, layer % 2 === 0 ? 2 : 3));
    const exported = await exportPlan(checkpoint, { prune: { method: 'random', ratio: 0.4, seed: 0, keep } });
    await compare(checkpoint, exported);
  });
});

describe.each(['deepseek_v2', 'gpt_oss', 'mixtral'])('%s rounded', (name) => {
  const checkpoint = path.join(familiesFolder, name);

  test.each([
    ['4 and 8 bits by layer', true, 32],
    ['4 and 8 bits with zero points', false, 16],
    ['2 and 3 bits in branches', false, 32],
  ])('%s', async (bits, symmetric, group) => {
    const { layers } = await trained(checkpoint);
    const [even, odd] = bits.startsWith('4') ? ([4, 8] as const) : ([2, { gate: 3, up: 4, down: 16 }] as const);
    const quantize = { method: 'rtn', group, symmetric, scope: 'experts' as const, seed: 0 };
    const exported = await exportPlan(checkpoint, {
      quantize: { ...quantize, layers: Array.from({ length: layers }, (_, at) => (at % 2 === 0 ? even : odd)) },
    });
    await compare(checkpoint, exported);
    const { graph } = await readGraph(exported.out);
    const operators = graph.node.filter(({ opType }) => opType === 'QMoE').length;
    expect(operators).toBe(bits.startsWith('4') ? layers : 0);
  });
});

describe('everything rounded (scope "all")', () => {
  // Grouped and latent attention, with biases and sinks; dense layers; shared experts beside.
  test.each([
    ['olmoe', 4, true],
    ['qwen2_moe', 8, false],
    ['deepseek_v2', 4, false],
    ['deepseek_v3', 3, true],
    ['gpt_oss', 8, true],
    ['granitemoe', 2, false],
    ['phimoe', 4, true],
    ['llama4_text', 4, false],
  ] as const)('%s with %i bits around its experts', async (name, others, symmetric) => {
    const checkpoint = path.join(familiesFolder, name);
    const { layers } = await trained(checkpoint);
    const { resolved } = await openModel(checkpoint);
    const shared = resolved
      .decoder()
      .layers.filter(
        ({ feedForward }) =>
          feedForward.kind === 'moe' && (feedForward.block.shared ?? feedForward.block.beside) !== undefined,
      ).length;
    const section = { method: 'rtn', group: 16, symmetric, scope: 'all' as const, others, seed: 0 };
    const bits = Array.from({ length: layers }, (_, at) => (at % 2 === 0 ? 4 : 8));
    const exported = await exportPlan(checkpoint, { quantize: { ...section, layers: bits } });
    await compare(checkpoint, exported, shortRun);
    const { graph } = await readGraph(exported.out);
    const products = graph.node.filter(({ opType }) => opType === 'MatMulNBits').length;
    // Query, key, value and output at least, of every layer; two maps at least of every shared expert.
    expect(products).toBeGreaterThanOrEqual(4 * layers + 2 * shared);
    expect(shared > 0).toBe(['qwen2_moe', 'deepseek_v2', 'deepseek_v3', 'llama4_text'].includes(name));
  });
});

/** The first `count` experts of every group, those of one group five of them. */
function everyGroup(experts: number, groups: number, count: number): number[] {
  const size = experts / groups;
  const kept = groups === 1 ? count + 3 : count;
  return Array.from({ length: groups }, (_, group) =>
    Array.from({ length: kept }, (__, at) => group * size + at),
  ).flat();
}

async function readGraph(folder: string) {
  const model = fromBinary(ModelProtoSchema, await readFile(path.join(folder, 'model.onnx')));
  return { model, graph: model.graph! };
}

async function moeAttributes(folder: string, name: string): Promise<number[]> {
  const { graph } = await readGraph(folder);
  return graph.node
    .filter(({ opType }) => opType === 'MoE')
    .map(({ attribute }) => Number(attribute.find((each) => each.name === name)!.i));
}

describe('the files', () => {
  const activeExperts = [4, 3, 2, 1, 4, 3, 2, 1];

  test('have the names, shapes and settings that ONNX Runtime GenAI expects', async () => {
    const { out } = await exportPlan(samplePath, { activeExperts });
    const config = JSON.parse(await readFile(path.join(out, 'genai_config.json'), 'utf8')) as {
      model: { decoder: { inputs: Record<string, string>; outputs: Record<string, string>; head_size: number } };
    };
    const { inputs, outputs } = config.model.decoder;
    const { model, graph } = await readGraph(out);
    const named = (names: Record<string, string>, layer: number) =>
      Object.values(names).map((name) => name.replace('%d', String(layer)));
    const everyLayer = activeExperts.map((_, layer) => layer);
    const declared = (values: typeof graph.input) => new Set(values.map(({ name }) => name));
    expect(declared(graph.input)).toEqual(new Set(everyLayer.flatMap((layer) => named(inputs, layer))));
    expect(declared(graph.output)).toEqual(new Set(everyLayer.flatMap((layer) => named(outputs, layer))));
    const past = graph.input.find(({ name }) => name === 'past_key_values.0.key')!.type!.value;
    const dimensions = past.case === 'tensorType' ? past.value.shape!.dim.map(({ value }) => value.value) : [];
    expect(dimensions).toEqual(['batch_size', 4n, 'past_sequence_length', BigInt(config.model.decoder.head_size)]);
    expect(await readdir(out)).toEqual(
      expect.arrayContaining(['tokenizer.json', 'tokenizer_config.json', 'moe_tune.json']),
    );
    expect(model.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([
      ['', 17n],
      ['com.microsoft', 1n],
    ]);
  });

  test('have weights inside the data file alone, none twice, and name operators after layers', async () => {
    const { out } = await exportPlan(samplePath, { activeExperts });
    const { graph } = await readGraph(out);
    const { length } = await readFile(path.join(out, 'model.onnx.data'));
    const ranges = graph.initializer.flatMap(({ externalData, name }) => {
      const of = new Map(externalData.map(({ key, value }) => [key, value]));
      const start = Number(of.get('offset'));
      return of.size === 0
        ? []
        : [{ name, location: of.get('location'), start, end: start + Number(of.get('length')) }];
    });
    expect(new Set(ranges.map(({ location }) => location))).toEqual(new Set(['model.onnx.data']));
    expect(Math.max(...ranges.map(({ end }) => end))).toBe(length);
    const distinct = [...new Map(ranges.map((range) => [range.start, range])).values()];
    distinct.sort((left, right) => left.start - right.start);
    distinct.slice(1).forEach(({ start }, at) => expect(start).toBeGreaterThanOrEqual(distinct[at]!.end));
    expect(graph.node.filter(({ opType }) => opType === 'MoE').map(({ name }) => name)).toEqual(
      activeExperts.map((_, layer) => `/model/layers.${layer}/moe/MoE`),
    );
  });

  test('are the same for the same plan', async () => {
    const [first, second] = [
      await exportPlan(samplePath, { activeExperts }),
      await exportPlan(samplePath, { activeExperts }),
    ];
    for (const name of await readdir(first.out)) {
      const [left, right] = [path.join(first.out, name), path.join(second.out, name)];
      expect((await readFile(left)).equals(await readFile(right)), name).toBe(true);
    }
  });

  test('are not written over anything', async () => {
    const { plan, out } = await exportPlan(samplePath, { activeExperts });
    const request = { checkpoint: samplePath, plan, target: 'onnx' } as const;
    expect((await failureOf(applyOnnx({ ...request, out }, quietJob()))).code).toBe('outputExists');
  });
});

/** Written last, on all models of the tests before: families, plans, bits, branches. */
test.skipIf(!hasOnnxChecker)('the checker of the onnx package finds nothing, with strict shape inference', async () => {
  const findings = [...(await onnxFindings(written))].filter(([, finding]) => finding !== null);
  expect(written.length).toBeGreaterThan(30);
  // Elements of 8 bits need a younger standard than the usual one: an old package says so of those models alone.
  const younger = findings.filter(([, finding]) => finding!.startsWith('newer than'));
  expect(findings.filter((each) => !younger.includes(each))).toEqual([]);
  const graphs = await Promise.all(younger.map(([file]) => readGraph(path.dirname(file))));
  const float8 = [DataType.FLOAT8E4M3FN, DataType.FLOAT8E5M2] as number[];
  expect(graphs.every(({ graph }) => graph.initializer.some(({ dataType }) => float8.includes(dataType)))).toBe(true);
});

test('ONNX Runtime makes one operator of every normalisation again', async () => {
  const { out } = await exportPlan(samplePath, { activeExperts: Array<number>(8).fill(4) });
  const optimized = path.join(await temporaryFolder(), 'optimized.onnx');
  const session = await InferenceSession.create(path.join(out, 'model.onnx'), {
    graphOptimizationLevel: 'extended',
    optimizedModelFilePath: optimized,
    extra: { session: { optimized_model_external_initializers_file_name: 'optimized.data' } },
  });
  await session.release();
  const operators = fromBinary(ModelProtoSchema, await readFile(optimized)).graph!.node.map(({ opType }) => opType);
  const { graph } = await readGraph(out);
  const norms = graph.node.filter(({ opType }) => opType === 'ReduceMean').length;
  expect(norms).toBeGreaterThan(16);
  expect(operators.filter((name) => /^(Skip)?SimplifiedLayerNormalization$/.test(name))).toHaveLength(norms);
  expect(operators).not.toContain('ReduceMean');
});
