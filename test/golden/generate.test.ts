import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { generate } from '../../engine/jobs/generate';
import { openModel } from '../../engine/jobs/openModel';
import { openPlannedModel } from '../../engine/jobs/plannedModel';
import { quietJob } from '../../engine/measure/jobContext';
import { walkLayers } from '../../engine/measure/layerWalk';
import { LayerSessions } from '../../engine/measure/layerSessions';
import { batchSequences } from '../../engine/measure/sequenceBatches';
import { routingGraph, routingNames } from '../../engine/graph/networkGraph';
import { generateParamsSchema, generateResultSchema, type GenerationStep } from '../../engine/protocol/generation';
import { integers, openSession } from '../../engine/runtime/session';
import { samplePath } from '../support/brokenSamples';
import { runCommandLine } from '../support/commandLine';
import { useEngineBundles } from '../support/engineBundles';
import { engineLogits, testRuntime } from '../support/engineRun';
import { testServices } from '../support/engineServices';
import { failureOf } from '../support/failureOf';
import { temporaryFolder } from '../support/temporaryFolder';

/** `generate` writes what the streamed forward would choose, and tells the experts that its routers choose. */

const family = (name: string) => path.join(import.meta.dirname, 'families', name);
const bundles = useEngineBundles();

let root: string;
beforeEach(async () => {
  root = await temporaryFolder();
});

async function planFile(plan: object): Promise<string> {
  const file = path.join(root, 'some.moeplan.json');
  await writeFile(file, JSON.stringify({ version: 1, ...plan }));
  return file;
}

function run(params: object, job = quietJob()) {
  return generate(generateParamsSchema.parse(params), testServices(root).services, job);
}

/** Arg-max and chosen experts of the streamed forward at every position of one sequence. */
async function streamed(checkpoint: string, plan: string | undefined, ids: readonly number[]) {
  const model = await openModel(checkpoint);
  const planned = await openPlannedModel(model, { plan }, quietJob());
  const spec = planned.decoder(model.resolved.decoder());
  const sequence = Int32Array.from(ids);
  const inputs = new Map<number, Float32Array>();
  const sessions = new LayerSessions(spec, testRuntime);
  const walk = await walkLayers({
    model: spec,
    sessions,
    runtime: testRuntime,
    batches: batchSequences([sequence], 1),
    variants: [planned.activeExperts],
    job: quietJob(),
    observe: ({ layer, input }) => {
      inputs.set(layer, Float32Array.from(input));
      return Promise.resolve();
    },
  });
  await walk.dispose();
  await sessions.dispose();
  const logits = await engineLogits({ ...model.resolved, decoder: () => spec }, [sequence], planned.activeExperts);
  const experts: number[][][] = [];
  for (const [at, block] of planned.blocks.entries()) {
    const session = await openSession(routingGraph(block.router, block.experts.length, block.hiddenSize), testRuntime);
    const k = planned.activeExperts[at]!;
    const results = await session.run({
      [routingNames.x]: { type: 'float32', data: inputs.get(block.layer)!, shape: [ids.length, block.hiddenSize] },
      [routingNames.activeExperts]: { type: 'int64', data: BigInt64Array.of(BigInt(k)), shape: [1] },
    });
    await session.dispose();
    const chosen = Array.from(integers(results, routingNames.experts), Number);
    const width = chosen.length / ids.length;
    experts.push(ids.map((_, token) => chosen.slice(token * width, (token + 1) * width)));
  }
  await planned.dispose();
  const vocabulary = spec.vocabularySize;
  return ids.map((_, token) => {
    const row = logits.subarray(token * vocabulary, (token + 1) * vocabulary);
    return {
      best: row.reduce((at, value, id) => (value > row[at]! ? id : at), 0),
      experts: experts.map((e) => e[token]!),
    };
  });
}

const byNumber = (left: number, right: number) => left - right;

describe.each([
  ['a plan of mixed k', samplePath, { activeExperts: [4, 3, 2, 1, 1, 2, 3, 4] }, undefined],
  ['other routers', family('deepseek_v3'), { activeExperts: [2, 3, 1] }, undefined],
  [
    'fixed choice',
    family('phimoe'),
    { prune: { method: 'random', ratio: 0.25, seed: 0, keep: Array.from({ length: 4 }, () => [1, 2, 3, 4, 6, 7]) } },
    [1, 2, 3, 4, 6, 7],
  ],
])('%s', (_, checkpoint, plan, kept) => {
  test('greedy tokens and experts are those of the forward', async () => {
    const file = await planFile(plan);
    const prompt = [5, 9, 2, 17, 8];
    const { variants, layers } = await run({ checkpoint, plan: file, ids: prompt, tokens: 6 });
    expect(variants.map(({ name }) => name)).toEqual(['baseline', 'plan']);
    for (const { name, tokens } of variants) {
      const all = [...prompt, ...tokens.map(({ id }) => id)];
      const expected = await streamed(checkpoint, name === 'plan' ? file : undefined, all.slice(0, -1));
      for (const [at, token] of tokens.entries()) {
        const { best, experts } = expected[prompt.length - 1 + at]!;
        expect(token.id).toBe(best);
        const ids = experts.map((each) => each.map((expert) => (name === 'plan' && kept ? kept[expert]! : expert)));
        expect(token.experts.map((each) => [...each].sort(byNumber))).toEqual(
          ids.map((each) => [...each].sort(byNumber)),
        );
        token.gates.forEach((gates, layer) => expect(gates).toHaveLength(token.experts[layer]!.length));
      }
    }
    expect(layers.length).toBe(variants[0]!.activeExperts.length);
  });
});

describe('generate', () => {
  test('tells every token while it runs, and gives what there is when it is stopped', async () => {
    const steps: GenerationStep[] = [];
    const abort = new AbortController();
    const job = {
      ...quietJob(abort.signal),
      generated: (step: GenerationStep) => {
        steps.push(step);
        if (steps.length === 5) {
          abort.abort();
        }
      },
    };
    const params = { checkpoint: samplePath, prompt: 'copy abc>', activeExperts: 1, tokens: 50 };
    const { variants, agreement } = await run(params, job);
    expect(variants.map(({ ended, tokens }) => [ended, tokens.length])).toEqual([
      ['cancelled', 3],
      ['cancelled', 2],
    ]);
    for (const { name, tokens } of variants) {
      expect(steps.filter(({ variant }) => variant === name).map(({ token }) => token)).toEqual(tokens);
    }
    expect(agreement!.share).toBeGreaterThanOrEqual(0);
  });

  test('ends at the end of a text, and samples by seed', async () => {
    const sampled = (seed: number) =>
      run({ checkpoint: samplePath, prompt: 'copy abc>', temperature: 1.5, seed, tokens: 12 });
    const [one, same, other] = [await sampled(1), await sampled(1), await sampled(2)];
    expect(one.variants).toEqual(same.variants);
    expect(one.variants).not.toEqual(other.variants);
    expect(one.agreement).toBeUndefined();
    const end = one.variants[0]!.tokens.at(-1)!.id;
    expect(one.prompt.map(({ text }) => text).join('')).toBe('copy abc>');
    expect(one.variants[0]!.ended === 'end-of-text').toBe(end === 1);
  });

  test('refuses what cannot be', async () => {
    for (const [params, message] of [
      [{ prompt: 'a', ids: [1] }, /not both/],
      [{}, /not both/],
      [{ ids: [100_000] }, /no token 100000/],
      [{ prompt: 'a', tokens: 400 }, /256 positions/],
    ] as const) {
      const error = await failureOf(run({ checkpoint: samplePath, ...params }));
      expect([error.code, error.message]).toEqual(['usage', expect.stringMatching(message)]);
    }
    expect((await failureOf(run({ checkpoint: family('mixtral'), prompt: 'a' }))).code).toBe('missingTokenizer');
  });

  test('a plan that changes nothing is said, and one model runs', async () => {
    const plan = await planFile({ activeExperts: Array<number>(8).fill(4) });
    const { variants, notes } = await run({ checkpoint: samplePath, plan, prompt: 'copy a>', tokens: 2 });
    expect(variants.map(({ name }) => name)).toEqual(['baseline']);
    expect(notes).toEqual(['The plan leaves the model as it was trained.']);
  });
});

describe('the command line', () => {
  test('writes one JSON document; the table has both texts and where they part', async () => {
    const plan = await planFile({ activeExperts: Array<number>(8).fill(1) });
    const words = ['generate', samplePath, '--prompt', 'sub 994-818>', '--plan', plan, '--tokens', '8'];
    const environment = { MOE_TUNER_CACHE: path.join(root, 'cache') };
    const json = await runCommandLine(bundles().commandLine, [...words, '--json'], { environment });
    expect(json.code).toBe(0);
    const result = generateResultSchema.parse(JSON.parse(json.stdout));
    const table = await runCommandLine(bundles().commandLine, words, { environment });
    for (const { text } of result.variants) {
      expect(table.stdout).toContain(text);
    }
    expect(table.stdout).toMatch(/have the same token; the first other one is token \d+|wrote the same tokens/);
    const wrong = await runCommandLine(bundles().commandLine, ['generate', samplePath], { environment });
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/--prompt/)]);
  });
});
