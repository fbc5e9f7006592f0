import { mkdtempSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { routerCandidates } from '../../engine/graph/calibrationGraph';
import { apply } from '../../engine/jobs/apply';
import { forward } from '../../engine/jobs/forward';
import { openModel } from '../../engine/jobs/openModel';
import { prune } from '../../engine/jobs/prune';
import { runCalibration } from '../../engine/measure/calibration/calibrationPass';
import { writeStatistics } from '../../engine/measure/calibration/statisticsFile';
import { quietJob } from '../../engine/measure/jobContext';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { applyParamsSchema } from '../../engine/protocol/apply';
import { planSchema } from '../../engine/protocol/plan';
import { pruneParamsSchema } from '../../engine/protocol/pruning';
import { testRuntime } from '../support/engineRun';
import { testServices } from '../support/engineServices';
import { failureOf } from '../support/failureOf';
import { relativeError } from '../support/compareTensors';
import { observeSequence } from '../support/reference/calibrationOracle';
import { isMoeBlock, type DecoderModel } from '../support/reference/decoder';
import { readGoldenFolder } from '../support/reference/golden';
import { readTensorFile } from '../support/reference/readTensors';
import { forwardModel, referenceModel } from '../support/reference/referenceForward';

const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-replacement-'));
const families = path.resolve(import.meta.dirname, 'families');
const { services } = testServices(folder);
const job = quietJob();
const file = (name: string) => path.join(folder, name);
const checkpointOf = (family: string) => path.join(families, family);
const tokens = 8;

afterAll(() => rm(folder, { recursive: true, force: true }));

function run(family: string, params: Record<string, unknown>) {
  return prune(pruneParamsSchema.parse({ checkpoint: checkpointOf(family), ...params }), services, job);
}

function idsOf(family: string): number[][] {
  return readGoldenFolder(checkpointOf(family))
    .ids.map((sequence) => sequence.slice(0, tokens))
    .slice(0, 2);
}

async function logitsOf(family: string, plan: string | undefined, checkpoint = checkpointOf(family)) {
  const [ids, out] = [file(`${family}.ids.json`), file(`${family}.safetensors`)];
  await writeFile(ids, JSON.stringify(idsOf(family)));
  await forward({ checkpoint, ids, out, plan, moeIo: false }, services, job);
  return readTensorFile(out).get('logits')!.data;
}

/** The reference with other outputs of the experts that go, by MoE layer. */
function answering(
  model: DecoderModel,
  keep: readonly (readonly number[])[],
  constants: (position: number, expert: number, hidden: number) => Float64Array,
): DecoderModel {
  let position = -1;
  return {
    ...model,
    layers: model.layers.map((layer) => {
      const block = layer.feedForward;
      if (!isMoeBlock(block)) {
        return layer;
      }
      position += 1;
      const experts = block.experts.map((network, expert) => {
        if (keep[position]!.includes(expert)) {
          return network;
        }
        const hidden = network.down.weight.shape[0]!;
        const zeros = new Float64Array(network.down.weight.data.length);
        const down = {
          ...network.down,
          weight: { ...network.down.weight, data: zeros },
          bias: { shape: [hidden], data: constants(position, expert, hidden) },
        };
        return { ...network, down };
      });
      return { ...layer, feedForward: { ...block, experts } };
    }),
  };
}

/** Statistics of the family on its own golden ids, in a file; and the mean outputs by the slow oracle. */
async function calibrated(family: string) {
  const model = await openModel(checkpointOf(family));
  const { resolved, fingerprint } = model;
  const sequences = idsOf(family).map((ids) => ({ ids: Int32Array.from(ids), tag: 0 }));
  const { layers } = await runCalibration({
    model: resolved.decoder(),
    activeExperts: resolved.blocks.map(({ activeExperts }) => activeExperts),
    machine: testRuntime,
    sequences,
    batches: batchSequences(
      sequences.map(({ ids }) => ids),
      4,
    ),
    tags: ['all'],
    sample: 4,
    dense: false,
    taskPairs: true,
    trace: false,
    seed: 0,
    job,
  });
  const { name } = resolved.recognised.record;
  const count = sequences.length * tokens;
  const described = { fingerprint, family: name, tokens: count, seed: 0, tags: ['all'] };
  const stats = file(`${family}.stats.safetensors`);
  await writeStatistics(stats, {
    statistics: { ...described, layers: layers.map(({ statistics }) => statistics) },
    description: {
      ...described,
      engine: 'test',
      length: tokens,
      texts: [{ name: 'all', sha256: '0'.repeat(64), tokens: count }],
      layers: layers.map(({ statistics }) => statistics.index),
    },
  });
  const reference = referenceModel(checkpointOf(family), tokens);
  const blocks = new Map(resolved.blocks.map((block) => [block.layer, block]));
  const observed = idsOf(family).map((ids) =>
    observeSequence(reference, ids, (layer) => {
      const block = blocks.get(layer)!;
      return {
        activeExperts: block.activeExperts,
        candidates: routerCandidates(block),
        reroutes: false,
        score: block.router.score,
        gates: block.router.gates,
        scale: block.router.scale,
      };
    }),
  );
  const means = (position: number, expert: number, hidden: number) => {
    const layer = resolved.blocks[position]!.layer;
    const outputs = observed
      .flatMap((each) => each.get(layer)!)
      .flatMap(({ chosen }) => chosen.filter((each) => each.expert === expert).map(({ output }) => output));
    return Float64Array.from({ length: hidden }, (_, at) =>
      outputs.length === 0 ? 0 : outputs.reduce((sum, output) => sum + output[at]!, 0) / outputs.length,
    );
  };
  return { stats, means };
}

async function keepOf(plan: string) {
  const { prune: section } = planSchema.parse(JSON.parse(await readFile(plan, 'utf8')));
  return section!.keep;
}

describe.each(['mixtral', 'olmoe', 'qwen2_moe', 'gpt_oss', 'llama4_text', 'deepseek_v2'])('%s', (family) => {
  test('zero is what the reference computes when the outputs of these experts are masked', async () => {
    const out = file(`${family}.zero.moeplan.json`);
    const result = await run(family, { method: 'router-norm', ratio: 0.375, replacement: 'zero', out });
    expect(result.replacement).toBe('zero');
    expect(result.keptExpertBytes).toBe(result.expertBytes);
    const keep = await keepOf(out);
    expect(keep.every(({ length }) => length === 5)).toBe(true);
    const masked = answering(
      referenceModel(checkpointOf(family), tokens),
      keep,
      (_, __, hidden) => new Float64Array(hidden),
    );
    const expected = forwardModel(masked, idsOf(family)).logits.flatMap((values) => [...values]);
    const found = await logitsOf(family, out);
    expect(relativeError(found, expected)).toBeLessThan(1e-4);
    // Something was lost: the masked experts were not idle.
    expect(relativeError(await logitsOf(family, undefined), expected)).toBeGreaterThan(1e-3);
  });

  test('a constant is the mean output that the slow oracle finds', async () => {
    const { stats, means } = await calibrated(family);
    const out = file(`${family}.constant.moeplan.json`);
    await run(family, { method: 'router-norm', ratio: 0.375, stats, replacement: 'constant', out });
    const keep = await keepOf(out);
    const answered = answering(referenceModel(checkpointOf(family), tokens), keep, means);
    const expected = forwardModel(answered, idsOf(family)).logits.flatMap((values) => [...values]);
    const found = await logitsOf(family, out);
    expect(relativeError(found, expected)).toBeLessThan(1e-4);
    expect(relativeError(await logitsOf(family, undefined), expected)).toBeGreaterThan(1e-4);
    await rm(stats);
    const failure = await failureOf(logitsOf(family, out));
    expect(failure.code).toBe('fileNotFound');
    expect(failure.details.wayOut).toMatch(/prune/);
  });
});

test('nothing changes where nothing goes', async () => {
  const { stats } = await calibrated('olmoe');
  const before = await logitsOf('olmoe', undefined);
  for (const replacement of ['zero', 'constant']) {
    const out = file(`${replacement}.whole.moeplan.json`);
    await run('olmoe', { method: 'mone', ratio: 0, stats, replacement, out });
    expect([...(await logitsOf('olmoe', out))]).toEqual([...before]);
  }
});

describe('targets', () => {
  const written = (family: string, plan: string, target: string, name: string) =>
    apply(applyParamsSchema.parse({ checkpoint: checkpointOf(family), plan, target, out: file(name) }), job);

  test('zeros load anywhere, with as many experts as before', async () => {
    const plan = file('olmoe.anywhere.moeplan.json');
    await run('olmoe', { method: 'router-norm', ratio: 0.25, replacement: 'zero', out: plan });
    await written('olmoe', plan, 'huggingface', 'olmoe-zero');
    const config = JSON.parse(await readFile(path.join(file('olmoe-zero'), 'config.json'), 'utf8')) as object;
    const original = JSON.parse(await readFile(path.join(checkpointOf('olmoe'), 'config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ num_experts: (original as { num_experts: number }).num_experts });
    const [planned, loaded] = [await logitsOf('olmoe', plan), await logitsOf('olmoe', undefined, file('olmoe-zero'))];
    expect(relativeError(loaded, planned)).toBeLessThan(1e-5);
  });

  test('constants go into an ONNX model, and into checkpoints whose experts have a bias; others are refused', async () => {
    const { stats } = await calibrated('olmoe');
    const plan = file('olmoe.places.moeplan.json');
    await run('olmoe', { method: 'mone', ratio: 0.25, stats, replacement: 'constant', out: plan });
    for (const target of ['huggingface', 'vllm', 'llama.cpp']) {
      const failure = await failureOf(written('olmoe', plan, target, `olmoe-${target}`));
      expect(failure.code).toBe('unsupportedFeature');
      expect(failure.message).toMatch(/no place for the constants/);
      expect(failure.details.wayOut).toMatch(/onnx/);
    }
    // The written model is loaded and its outputs are compared with the plan's before the folder gets its name.
    const { files } = await written('olmoe', plan, 'onnx', 'olmoe-onnx');
    expect(files.length).toBeGreaterThan(1);
  });
});

test('requests that contradict each other are refused', async () => {
  const stats = { stats: (await calibrated('olmoe')).stats };
  for (const [params, place] of [
    [{ replacement: 'constant', method: 'router-norm' }, /--text, --stats/],
    [{ replacement: 'zero', method: 'router-norm', correction: 'folded' }, /--correction/],
    [{ ...stats, replacement: 'constant', method: 'reap', task: ['all'] }, /--task/],
  ] as const) {
    const failure = await failureOf(run('olmoe', { ratio: 0.25, ...params }));
    expect(failure.code).toBe('usage');
    expect(failure.details.place).toMatch(place);
  }
});
