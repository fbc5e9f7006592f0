import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readTensorFile } from '../support/reference/readTensors';
import type { MoeBlockSpec } from '../../engine/families/specification';
import { apply } from '../../engine/jobs/apply';
import { attentionHeads, evaluate } from '../../engine/jobs/evaluate';
import { openModel } from '../../engine/jobs/openModel';
import { quantize } from '../../engine/jobs/quantize';
import { smoothBlock } from '../../engine/jobs/quantizeSmoothing';
import { runBlock } from '../../engine/measure/blockRun';
import { quietJob } from '../../engine/measure/jobContext';
import { rewriteLayers } from '../../engine/measure/rewritingWalk';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { evaluateParamsSchema } from '../../engine/protocol/evaluation';
import { quantizeParamsSchema } from '../../engine/protocol/quantization';
import { ScratchWeights } from '../../engine/transform/scratchWeights';
import { smoothableNorm } from '../../engine/transform/smoothBlock';
import { testServices, testThreads } from '../support/engineServices';
import { failureOf } from '../support/failureOf';
import { readGolden } from '../support/reference/golden';
import { temporaryFolder } from '../support/temporaryFolder';

const minutes = 60_000;
const runtime = { provider: 'cpu', threads: testThreads };
const sample = path.join(import.meta.dirname, '../../media/sample');

/** The walk through a golden model with every block left, or smoothed: what blocks are given, and the last ones. */
async function walked(family: string, exponent: number | undefined, scratch: ScratchWeights) {
  const golden = readGolden(family);
  const { resolved } = await openModel(golden.folder);
  const model = resolved.decoder();
  const sequences = golden.ids.map((ids) => Int32Array.from(ids));
  const job = quietJob();
  const given: Float32Array[] = [];
  const factors: Float32Array[] = [];
  let last: { block: MoeBlockSpec; x: Float32Array } | undefined;
  await rewriteLayers({
    model,
    runtime,
    job,
    batches: batchSequences(sequences, attentionHeads(model)),
    sequences,
    progress: [0, 1],
    rewrite: async (block, _, inputs) => {
      given.push(await joined(inputs()));
      if (exponent === undefined) {
        last = { block, x: given.at(-1)! };
        return block;
      }
      const layer = model.layers.find(({ index }) => index === block.layer)!;
      const smoothed = await smoothBlock({ runtime, job, scratch }, block, smoothableNorm(layer), inputs, exponent);
      factors.push(smoothed.factors);
      last = { block: smoothed.block, x: await joined(smoothed.inputs()) };
      return smoothed.block;
    },
  });
  const { block, x } = last!;
  return { given, factors, output: await runBlock(block, x, block.activeExperts, runtime, job) };
}

async function joined(parts: AsyncIterable<Float32Array>): Promise<Float32Array> {
  const all: number[] = [];
  for await (const part of parts) {
    all.push(...part);
  }
  return Float32Array.from(all);
}

/** Largest difference relative to the largest value. */
function difference(one: Float32Array, other: Float32Array): number {
  const largest = one.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return one.reduce((most, value, at) => Math.max(most, Math.abs(value - other[at]!)), 0) / largest;
}

describe('smoothed inputs', () => {
  // Separate and fused experts, shared experts with and without a gate, biases, layer norms, gates on inputs, 4-bit experts.
  test.each(['olmoe', 'qwen2_moe', 'granitemoe', 'gpt_oss', 'deepseek_v3', 'phimoe', 'llama4_text'])(
    '%s computes the same before rounding',
    async (family) => {
      const scratch = new ScratchWeights(await temporaryFolder());
      const before = await walked(family, undefined, scratch);
      const after = await walked(family, 0.5, scratch);
      expect(after.given.length).toBe(before.given.length);
      for (const [at, x] of before.given.entries()) {
        expect(difference(x, after.given[at]!), `inputs of block ${at}`).toBeLessThan(1e-5);
      }
      expect(difference(before.output, after.output)).toBeLessThan(1e-5);
      // And the factors are not those of doing nothing.
      for (const factors of after.factors) {
        expect(Math.max(...factors) / Math.min(...factors)).toBeGreaterThan(1.2);
      }
      await scratch.dispose();
    },
    3 * minutes,
  );

  test('factors are those of the formula, from inputs and weights of the checkpoint alone', async () => {
    const scratch = new ScratchWeights(await temporaryFolder());
    const { folder, tensor, blocks, configuredK } = readGolden('olmoe');
    const after = await walked('olmoe', 0.3, scratch);
    const stored = readTensorFile(path.join(folder, 'model.safetensors'));
    const { name } = blocks[0]!;
    const x = tensor(`moe_in.${name}`);
    expect(after.factors[0]).toHaveLength(x.shape.at(-1)!);
    const wanted = expectedFactors(x, (part) => stored.get(`${name}.${part}.weight`)!, configuredK, 0.3);
    wanted.forEach((factor, at) => expect(after.factors[0]![at]! / factor, `channel ${at}`).toBeCloseTo(1, 3));
    await scratch.dispose();
  });

  test(
    'a smoothed plan is measured, evaluated and written as it was rounded',
    async () => {
      const folder = await temporaryFolder();
      const { services } = testServices(folder);
      const text = [path.join(sample, 'calibration.jsonl')];
      const out = path.join(folder, 'smooth.moeplan.json');
      const request = { checkpoint: sample, bits: 3, method: 'eaquant', symmetric: true, group: 16, length: 48 };
      const params = quantizeParamsSchema.parse({ ...request, text, calibrationTokens: 4096, smoothing: 0.5, out });
      const result = await quantize(params, services, quietJob());
      expect(result.smoothing).toBe(0.5);
      expect(result.kl).toBeGreaterThan(0);
      expect(result.kl).toBeLessThan(0.5);
      for (const { relativeError } of result.layers) {
        expect(relativeError.up).toBeLessThan(0.1);
      }
      const plan = JSON.parse(await readFile(out, 'utf8')) as { quantize: { options: object } };
      expect(plan.quantize.options).toMatchObject({ smoothing: 0.5 });
      const measured = await evaluate(
        evaluateParamsSchema.parse({ checkpoint: sample, plan: out, text, length: 48, windows: 16, perDocument: true }),
        services,
        quietJob(),
      );
      const [dataset] = Object.values(measured.datasets);
      expect(dataset!.kl).toBeGreaterThan(0);
      expect(dataset!.kl).toBeLessThan(0.5);
      // Written models are run against the plan before they get their name.
      const onnx = await apply(
        { checkpoint: sample, plan: out, target: 'onnx', out: path.join(folder, 'onnx') },
        quietJob(),
      );
      expect(onnx.files.length).toBeGreaterThan(1);
      for (const target of ['huggingface', 'compressed-tensors'] as const) {
        const error = await failureOf(
          apply({ checkpoint: sample, plan: out, target, out: path.join(folder, target) }, quietJob()),
          target,
        );
        expect([error.code, error.message]).toEqual(['unsupportedFeature', expect.stringMatching(/smooth/)]);
      }
      await writeFile(
        out,
        JSON.stringify({
          ...plan,
          quantize: { ...plan.quantize, options: { ...plan.quantize.options, smoothing: 0.4 } },
        }),
      );
      const other = apply(
        { checkpoint: sample, plan: out, target: 'onnx', out: path.join(folder, 'other') },
        quietJob(),
      );
      expect((await failureOf(other, 'another state')).code).toBe('malformedPlan');
    },
    5 * minutes,
  );

  test('needs text and a method that looks at it', async () => {
    const { services } = testServices(await temporaryFolder());
    const text = [path.join(sample, 'calibration.jsonl')];
    for (const request of [{ method: 'rtn', text }, { method: 'auto' }]) {
      const params = quantizeParamsSchema.parse({ checkpoint: sample, bits: 4, smoothing: 0.5, ...request });
      const error = await failureOf(quantize(params, services, quietJob()), request.method);
      expect([error.code, error.message]).toEqual(['usage', expect.stringMatching(/smoothed by what calibration/)]);
    }
  });
});

/** s_j = max_i (max |x_j|^α / max |W_j|^(1 - α)) over experts and router, with routing of the original worked out here. */
function expectedFactors(
  x: { readonly shape: readonly number[]; readonly data: Float64Array },
  weight: (part: string) => { readonly data: Float64Array },
  k: number,
  exponent: number,
): number[] {
  const hidden = x.shape.at(-1)!;
  const tokens = x.data.length / hidden;
  const router = weight('gate').data;
  const experts = router.length / hidden;
  const rows = (values: Float64Array, row: number) => values.subarray(row * hidden, (row + 1) * hidden);
  const largest = (all: readonly Float64Array[], channel: number) =>
    all.reduce((most, row) => Math.max(most, Math.abs(row[channel]!)), 0);
  const split = (values: Float64Array) => Array.from({ length: values.length / hidden }, (_, row) => rows(values, row));
  const seen: Float64Array[][] = Array.from({ length: experts }, () => []);
  for (let token = 0; token < tokens; token += 1) {
    const row = rows(x.data, token);
    const logits = split(router).map((each) => each.reduce((sum, value, at) => sum + value * row[at]!, 0));
    const order = logits.map((_, expert) => expert).sort((left, right) => logits[right]! - logits[left]!);
    order.slice(0, k).forEach((expert) => seen[expert]!.push(row));
  }
  const matrices = seen.map((_, expert) =>
    ['gate', 'up'].flatMap((name) => split(weight(`experts.${expert}.${name}_proj`).data)),
  );
  const raw = Array.from({ length: hidden }, (_, channel) => {
    const of = (inputs: readonly Float64Array[], weights: readonly Float64Array[]) =>
      inputs.length === 0 ? 0 : largest(inputs, channel) ** exponent / largest(weights, channel) ** (1 - exponent);
    return Math.max(of(split(x.data), split(router)), ...seen.map((inputs, expert) => of(inputs, matrices[expert]!)));
  });
  const middle = Math.sqrt(Math.max(...raw) * Math.min(...raw));
  return raw.map((factor) => factor / middle);
}
