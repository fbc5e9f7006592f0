import { mkdtempSync, readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { writeSafetensors } from '../../engine/checkpoint/writeSafetensors';
import { budget } from '../../engine/jobs/budget';
import { evaluate } from '../../engine/jobs/evaluate';
import { forward } from '../../engine/jobs/forward';
import { moe } from '../../engine/jobs/moe';
import { profile } from '../../engine/jobs/profile';
import { bytesOf } from '../../engine/jobs/tensorInput';
import { quietJob } from '../../engine/measure/jobContext';
import { budgetTable, totalLoss } from '../../engine/methods/budgets/lossTable';
import { budgetParamsSchema } from '../../engine/protocol/budget';
import { evaluateParamsSchema } from '../../engine/protocol/evaluation';
import { profileParamsSchema } from '../../engine/protocol/sensitivity';
import { sum } from '../support/budgetTables';
import { largestDifference, relativeError } from '../support/compareTensors';
import { testServices } from '../support/engineServices';
import { readGoldenFolder, type Golden } from '../support/reference/golden';
import { readTensorFile } from '../support/reference/readTensors';
import { sharedPath } from '../support/sharedMaterial';

const sample = path.resolve(import.meta.dirname, '../../media/sample');
const folder = mkdtempSync(path.join(tmpdir(), 'moe-tuner-reference-'));
// One cache for all tests: the text model is profiled once.
const { services, warnings } = testServices(folder);
const job = quietJob();
const file = (name: string) => path.join(folder, name);

afterAll(async () => {
  expect(warnings).toEqual([]);
  await rm(folder, { recursive: true, force: true });
});

test('the sample answers its tasks as Transformers says', async () => {
  const tasks = [path.join(sample, 'tasks.jsonl')];
  const result = await evaluate(evaluateParamsSchema.parse({ checkpoint: sample, tasks }), services, job);
  expect(result.baseline).toBe(true);
  expect(Math.abs(result.meanAccuracy! - 0.977)).toBeLessThan(0.003);
  const reference = sharedPath('models/tasks/hf_accuracy.json');
  if (reference !== undefined) {
    const expected = z.record(z.string(), z.record(z.string(), z.number())).parse(readJson(reference))['4'];
    expect(result.tasks).toEqual(expected);
  }
});

describe.each(['tasks', 'text'])('captures of the trained model %s', (name) => {
  const captured = sharedPath(`models/${name}/golden.safetensors`);
  const checkpoint = captured === undefined ? '' : path.dirname(captured);

  test.skipIf(captured === undefined)('logits at the trained k and at every captured k', async () => {
    const golden = readGoldenFolder(checkpoint);
    await writeFile(file('ids.json'), JSON.stringify(golden.ids));
    expect(golden.capturedK.length).toBeGreaterThan(1);
    for (const k of [undefined, ...golden.capturedK]) {
      const params = { checkpoint, ids: file('ids.json'), out: file('out.safetensors'), activeExperts: k };
      await forward({ ...params, moeIo: k === undefined }, services, job);
      const written = readTensorFile(file('out.safetensors'));
      const expected = golden.tensor(k === undefined ? 'logits' : `logits.k${k}`);
      expect(written.get('logits')!.shape).toEqual(expected.shape);
      expect(largestDifference(written.get('logits')!.data, expected.data), `k ${k}`).toBeLessThan(1e-3);
      if (k === undefined) {
        for (const { layer, name: block } of capturedBlocks(golden)) {
          const inputs = golden.tensor(`moe_in.${block}`).data;
          expect(relativeError(written.get(`moe_in.${layer}`)!.data, inputs), block).toBeLessThan(1e-4);
        }
      }
    }
  });

  test.skipIf(captured === undefined)(
    'block outputs at every captured k, on captured and Gaussian inputs',
    async () => {
      const golden = readGoldenFolder(checkpoint);
      const outputs = [...readTensorFile(captured!).keys()].filter((tensor) => /^(moe|gauss)_out\.k/.test(tensor));
      expect(outputs.length).toBeGreaterThan(4);
      for (const tensor of outputs) {
        const [, kind, k, block] = /^(moe|gauss)_out\.k(\d+)\.(.*)$/.exec(tensor)!;
        const x = golden.tensor(kind === 'gauss' ? 'gauss' : `moe_in.${block}`);
        const data = bytesOf(Float32Array.from(x.data));
        await writeSafetensors(file('x.safetensors'), [{ name: 'x', dtype: 'F32', shape: x.shape, data }]);
        const layer = Number(/layers\.(\d+)/.exec(block!)![1]);
        const [input, out] = [file('x.safetensors'), file('y.safetensors')];
        await moe({ checkpoint, layer, input, out, activeExperts: Number(k) }, services, job);
        const y = readTensorFile(out).get('y')!;
        expect(y.shape).toEqual(x.shape);
        expect(relativeError(y.data, golden.tensor(tensor).data), tensor).toBeLessThan(1e-4);
      }
    },
  );
});

const perplexities = z.record(z.string(), z.number());
const referenceSchema = z.object({
  baseline: perplexities,
  lexi_gaussian: z.object({ D: z.array(z.array(z.number())) }),
  budgets: z.record(z.string(), z.object({ lexi_raw: z.looseObject({ ks: z.array(z.number()) }) })),
});

const checkpoint = sharedPath('models/text');
const referenceFile = sharedPath('reference/text-pytorch.json');
const textFile = sharedPath('eval/text-eval.json');

describe.skipIf(checkpoint === undefined || referenceFile === undefined || textFile === undefined)(
  'PyTorch results on the text model',
  () => {
    const reference = () => referenceSchema.parse(readJson(referenceFile!));

    test('LExI table within 3 %, with a coefficient of variation below 1 %', async () => {
      const result = await profile(profileParamsSchema.parse({ checkpoint }), services, job);
      expect(result.coefficientOfVariation).toBeGreaterThan(0);
      expect(result.coefficientOfVariation).toBeLessThan(0.01);
      const { D } = reference().lexi_gaussian;
      expect(result.layers).toHaveLength(D.length);
      result.layers.forEach(({ raw }, at) => {
        raw.forEach((value, position) => {
          const expected = D[at]![position]!;
          expect(Math.abs(value - expected), `layer ${at}, k ${position + 1}`).toBeLessThanOrEqual(0.03 * expected);
        });
      });
    });

    test.each([84, 72, 60, 48, 36, 24])('LExI budgets at a total of %i, up to ties', async (total) => {
      const { D } = reference().lexi_gaussian;
      const expected = reference().budgets[String(total)]!.lexi_raw.ks;
      const result = await budget(budgetParamsSchema.parse({ checkpoint, total, objective: 'lexi' }), services, job);
      expect(sum(result.activeExperts)).toBe(total);
      // Both tables are sampled: where the choice differs, both must be as good by the reference's table, up to its noise.
      const table = budgetTable(D.map((loss, layer) => ({ layer, loss })));
      const ratio = totalLoss(table, result.activeExperts) / totalLoss(table, expected);
      expect(ratio, result.activeExperts.join(' ')).toBeLessThan(1.002);
    });

    test('perplexities of the checkpoint and of a published budget within 0.2 %', async () => {
      // Every dataset is measured alike: one of them keeps the test short.
      const names = ['wikitext2_test'];
      const texts = z.record(z.string(), z.array(z.string())).parse(JSON.parse(await readFile(textFile!, 'utf8')));
      await writeFile(file('text.json'), JSON.stringify(Object.fromEntries(names.map((name) => [name, texts[name]]))));
      const { ks, ...expected } = reference().budgets['36']!.lexi_raw;
      const result = await evaluate(
        evaluateParamsSchema.parse({ checkpoint, text: [file('text.json')], windows: 24, activeExperts: ks }),
        services,
        job,
      );
      expect(Object.keys(result.datasets)).toEqual(names);
      for (const [name, { perplexity, baselinePerplexity, tokens, kl }] of Object.entries(result.datasets)) {
        expect(tokens).toBe(24 * 511);
        expect(Math.abs(baselinePerplexity! / reference().baseline[name]! - 1), name).toBeLessThan(0.002);
        expect(Math.abs(perplexity / (expected[name] as number) - 1), name).toBeLessThan(0.002);
        expect(kl).toBeGreaterThan(0.01);
      }
    });
  },
);

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(name, 'utf8'));
}

/** Blocks whose inputs were captured. */
function capturedBlocks({ blocks, folder: at }: Golden): Golden['blocks'] {
  const tensors = readTensorFile(path.join(at, 'golden.safetensors'));
  return blocks.filter(({ name }) => tensors.has(`moe_in.${name}`));
}
