import { readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { apply } from '../../engine/jobs/apply';
import { budget } from '../../engine/jobs/budget';
import { history } from '../../engine/jobs/history';
import { inspect } from '../../engine/jobs/inspect';
import { setActiveExperts } from '../../engine/jobs/setActiveExperts';
import { quietJob } from '../../engine/measure/jobContext';
import { budgetParamsSchema } from '../../engine/protocol/budget';
import { DecoderSession } from '../../engine/runtime/decoderSession';
import { samplePath } from '../support/brokenSamples';
import { testRuntime } from '../support/engineRun';
import { testServices } from '../support/engineServices';
import { failureOf } from '../support/failureOf';
import { temporaryFolder } from '../support/temporaryFolder';

/** ONNX models with MoE operators as something to look at and to change, without the checkpoint they came from. */

const family = (name: string) => path.join(import.meta.dirname, 'families', name);

async function writePlan(plan: object): Promise<string> {
  const file = path.join(await temporaryFolder(), 'some.moeplan.json');
  await writeFile(file, JSON.stringify({ version: 1, ...plan }));
  return file;
}

async function exported(checkpoint: string, plan: object): Promise<string> {
  const out = path.join(await temporaryFolder(), 'model');
  await apply({ checkpoint, plan: await writePlan(plan), target: 'onnx', out }, quietJob());
  return out;
}

async function logits(folder: string): Promise<Float32Array> {
  const session = await DecoderSession.open(path.join(folder, 'model.onnx'), 1, testRuntime);
  try {
    return (await session.append(BigInt64Array.of(5n, 9n, 2n, 17n, 33n))).values;
  } finally {
    await session.dispose();
  }
}

describe.each([
  ['the operator chooses', samplePath, [4, 4, 4, 4, 4, 4, 4, 4], [4, 3, 2, 1, 5, 3, 2, 1]],
  ['operators before it choose', family('deepseek_v3'), [4, 4, 4], [2, 3, 1]],
  ['codes', family('mixtral'), [2, 2, 2, 2], [1, 2, 1, 3]],
])('%s', (name, checkpoint, before, after) => {
  const rounding =
    name === 'codes'
      ? { quantize: { method: 'rtn', group: 32, symmetric: true, scope: 'experts', layers: [8, 8, 8, 8], seed: 0 } }
      : {};

  test('changed numbers give what an export with these numbers gives', async () => {
    const original = await exported(checkpoint, { ...rounding, activeExperts: before });
    const wanted = await logits(await exported(checkpoint, { ...rounding, activeExperts: after }));
    expect(await logits(original)).not.toEqual(wanted);

    const plan = await writePlan({ activeExperts: after });
    const out = path.join(await temporaryFolder(), 'changed');
    const result = await apply({ checkpoint: original, plan, target: 'onnx', out }, quietJob());
    expect(result.predictedBytes).toBe(result.bytes);
    expect(await logits(out)).toEqual(wanted);
    expect((await inspect(out)).layers.filter(({ moe }) => moe).map(({ active }) => active)).toEqual(after);

    const data = await stat(path.join(original, 'model.onnx.data'));
    await apply({ checkpoint: original, plan, target: 'onnx', out: original }, quietJob());
    expect(await logits(original)).toEqual(wanted);
    expect(await stat(path.join(original, 'model.onnx.data'))).toMatchObject({ ino: data.ino, mtimeMs: data.mtimeMs });
    const back = await writePlan({ activeExperts: before });
    await apply({ checkpoint: original, plan: back, target: 'onnx', out: original }, quietJob());
    expect((await inspect(original)).layers.filter(({ moe }) => moe).map(({ active }) => active)).toEqual(before);
  });
});

describe('in place', () => {
  test('numbers are set, the model as it was stays beside it, and the numbers before undo it', async () => {
    const before = [4, 4, 4, 4, 4, 4, 4, 4];
    const model = await exported(samplePath, { activeExperts: before });
    const [file, original] = [path.join(model, 'model.onnx'), path.join(model, 'model.onnx.original')];
    const [bytes, expected] = [await readFile(file), await logits(model)];
    const changed = await setActiveExperts({ model, activeExperts: [1, 2, 3, 4, 4, 3, 2, 1] });
    expect(changed).toMatchObject({ previous: before, changed: 6, original: 'model.onnx.original' });
    expect((await readFile(original)).equals(bytes)).toBe(true);
    expect(await logits(model)).not.toEqual(expected);
    expect((await inspect(model)).layers.map(({ active }) => active)).toEqual([1, 2, 3, 4, 4, 3, 2, 1]);

    const again = await setActiveExperts({ model, activeExperts: changed.previous });
    expect(again.changed).toBe(6);
    expect(await logits(model)).toEqual(expected);
    expect((await readFile(original)).equals(bytes)).toBe(true);
    expect((await setActiveExperts({ model, activeExperts: before })).original).toBeUndefined();
    const refused = await failureOf(setActiveExperts({ model, activeExperts: [4, 4] }));
    expect([refused.code, refused.message]).toEqual(['usage', expect.stringMatching(/8 MoE operators/)]);
  });

  test('an operator without the attribute, which then is 1, gets it', async () => {
    const model = await exported(samplePath, { activeExperts: Array<number>(8).fill(1) });
    const wanted = await logits(await exported(samplePath, { activeExperts: [3, 1, 1, 1, 1, 1, 1, 1] }));
    const file = path.join(model, 'model.onnx');
    const graph = fromBinary(ModelProtoSchema, await readFile(file));
    for (const node of graph.graph!.node.filter(({ opType }) => opType === 'MoE')) {
      node.attribute = node.attribute.filter(({ name }) => name !== 'k');
    }
    await writeFile(file, toBinary(ModelProtoSchema, graph));
    await setActiveExperts({ model, activeExperts: [3, 1, 1, 1, 1, 1, 1, 1] });
    expect(await logits(model)).toEqual(wanted);
  });
});

describe('budget', () => {
  const ask = (params: object) => budget(budgetParamsSchema.parse(params), testServices(tmpdir()).services, quietJob());

  test('splits evenly by operator and writes a plan that the model takes; what would have to be measured is refused', async () => {
    const model = await exported(samplePath, { activeExperts: Array<number>(8).fill(4) });
    const out = path.join(await temporaryFolder(), 'some.moeplan.json');
    const result = await ask({ checkpoint: model, average: 2.5, out });
    expect(result).toMatchObject({ total: 20, chosen: 'uniform', predicted: null });
    expect([...result.activeExperts].sort()).toEqual([2, 2, 2, 2, 3, 3, 3, 3]);
    await apply({ checkpoint: model, plan: out, target: 'onnx', out: model }, quietJob());
    expect((await inspect(model)).layers.map(({ active }) => active)).toEqual(result.activeExperts);
    for (const params of [{ objective: 'lexi' }, { cost: 'bytes', limit: 1 }, { gates: 'scale' }]) {
      const error = await failureOf(ask({ checkpoint: model, total: 8, ...params }));
      expect([error.code, error.details.wayOut]).toEqual([
        'unsupportedFeature',
        expect.stringMatching(/the checkpoint it was exported from/),
      ]);
    }
    expect((await history(model, testServices(await temporaryFolder()).services)).profiles).toEqual([]);
  });
});

describe('inspect', () => {
  test('describes the operators as it describes the checkpoint', async () => {
    const [model, checkpoint] = [
      await inspect(await exported(samplePath, { activeExperts: Array<number>(8).fill(4) })),
      await inspect(samplePath),
    ];
    expect(model).toMatchObject({ family: 'onnx', modelType: 'qwen2', hasTokenizer: true, dtype: '16 bits' });
    for (const key of [
      'experts',
      'activeExperts',
      'expertBytes',
      'hiddenSize',
      'expertIntermediateSize',
      'vocabularySize',
    ] as const) {
      expect(model[key], key).toBe(checkpoint[key]);
    }
    expect(model.layers.map(({ sharedExperts: _, ...layer }) => layer)).toEqual(
      checkpoint.layers.map(({ sharedExperts: _, ...layer }) => layer),
    );
    expect(model.activeParameters / checkpoint.activeParameters).toBeCloseTo(1, 2);
    expect(model.forward.supported).toBe(false);
  });

  test('counts codes of 4 bits as the weights they stand for', async () => {
    const quantize = { method: 'rtn', group: 32, symmetric: true, scope: 'experts', layers: [4, 4, 4, 4], seed: 0 };
    const [model, checkpoint] = [
      await inspect(await exported(family('mixtral'), { quantize })),
      await inspect(family('mixtral')),
    ];
    expect(model.dtype).toBe('4 bits');
    expect(model.layers[0]!.expertParameters).toBe(checkpoint.layers[0]!.expertParameters);
    expect(model.expertBytes).toBeLessThan(checkpoint.expertBytes / 2.5);
  });
});

describe('is refused', () => {
  test('where the plan does not fit, and leaves the model as it was', async () => {
    const model = await exported(samplePath, { activeExperts: Array<number>(8).fill(4) });
    const before = await readFile(path.join(model, 'model.onnx'));
    for (const [plan, code, message] of [
      [{ activeExperts: [2, 2] }, 'malformedPlan', /8 MoE operators/],
      [{ activeExperts: [2, 2, 2, 2, 2, 2, 2, 17] }, 'malformedPlan', /Layer 7 cannot have 17/],
      [
        { activeExperts: [2, 2, 2, 2, 2, 2, 2, 2], gates: { seed: 0, scale: [1, 1, 1, 1, 1, 1, 1, 2] } },
        'unsupportedFeature',
        /weights stay/,
      ],
    ] as const) {
      const error = await failureOf(
        apply({ checkpoint: model, plan: await writePlan(plan), target: 'onnx', out: model }, quietJob()),
      );
      expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    }
    expect((await readFile(path.join(model, 'model.onnx'))).equals(before)).toBe(true);
  });

  test('where the number of a router is fixed', async () => {
    const model = await exported(family('phimoe'), { activeExperts: [2, 2, 2, 2] });
    const plan = await writePlan({ activeExperts: [1, 2, 2, 2] });
    const error = await failureOf(apply({ checkpoint: model, plan, target: 'onnx', out: model }, quietJob()));
    expect([error.code, error.message]).toEqual(['unsupportedFeature', expect.stringMatching(/fixed number/)]);
  });

  test('where gates multiply the inputs of a single expert', async () => {
    const checkpoint = family('llama4_text');
    const trained = (await inspect(checkpoint)).layers.filter(({ moe }) => moe).map(({ active }) => active);
    const model = await exported(checkpoint, { activeExperts: trained });
    const error = await failureOf(setActiveExperts({ model, activeExperts: trained.map(() => 2) }));
    expect([error.code, error.message]).toEqual(['unsupportedFeature', expect.stringMatching(/multiply the inputs/)]);
  });

  test('where there is no model, or no MoE operator in it', async () => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, 'genai_config.json'), '{"model": {"decoder": {"filename": "model.onnx"}}}');
    expect((await failureOf(inspect(folder))).code).toBe('fileNotFound');
    await writeFile(path.join(folder, 'model.onnx'), 'something else');
    expect((await failureOf(inspect(folder))).code).toBe('notACheckpoint');
    await writeFile(path.join(folder, 'model.onnx'), '');
    expect((await failureOf(inspect(folder))).code).toBe('notMixtureOfExperts');
    await writeFile(path.join(folder, 'genai_config.json'), '{"model": 3}');
    expect((await failureOf(inspect(folder))).code).toBe('malformedConfig');
  });
});
