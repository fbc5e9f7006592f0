import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { apply } from '../../engine/jobs/apply';
import { inspect } from '../../engine/jobs/inspect';
import { quietJob } from '../../engine/measure/jobContext';
import { DecoderSession } from '../../engine/runtime/decoderSession';
import { samplePath } from '../support/brokenSamples';
import { testRuntime } from '../support/engineRun';
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
