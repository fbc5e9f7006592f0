import { copyFile, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { readSafetensorsHeader } from '../../engine/checkpoint/safetensorsHeader';
import type { ErrorCode } from '../../engine/protocol/errors';
import { safetensorsBytes } from './hostileCheckpoints';

/** Work that must be refused, as the command line and as a request say it. Paths are relative to the checkpoint. */
export interface BrokenRequest {
  readonly name: 'inspect' | 'profile' | 'evaluate' | 'budget';
  readonly options?: {
    readonly samples?: number;
    readonly total?: number;
    readonly plan?: string;
    readonly out?: string;
    readonly tasks?: readonly string[];
    readonly text?: readonly string[];
  };
}

/** The sample checkpoint, broken in one way, and what the error has to say. */
export interface BrokenSample {
  readonly name: string;
  /** Breaks a copy of the sample. */
  readonly breakIt: (folder: string) => Promise<void>;
  readonly request: BrokenRequest;
  readonly code: ErrorCode;
  /** File at fault, relative to the checkpoint. */
  readonly file: string;
  readonly place: RegExp;
  readonly message: RegExp;
}

export const samplePath = path.resolve(import.meta.dirname, '../../media/sample');

/** Task items that are kept: refusals do not need more. */
const keptTasks = 24;

/** Copies the sample into an existing folder, with the first of its tasks. */
export async function copySample(folder: string): Promise<void> {
  const names = await readdir(samplePath);
  await Promise.all(names.map((name) => copyFile(path.join(samplePath, name), path.join(folder, name))));
  const tasksFile = path.join(folder, 'tasks.jsonl');
  const lines = (await readFile(tasksFile, 'utf8')).split('\n').slice(0, keptTasks);
  await writeFile(tasksFile, `${lines.join('\n')}\n`);
}

async function changeConfig(folder: string, change: Readonly<Record<string, unknown>>): Promise<void> {
  const file = path.join(folder, 'config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  await writeFile(file, JSON.stringify({ ...config, ...change }, undefined, 2));
}

/** Overwrites one BF16 element of a stored tensor with NaN. */
async function putNaN(folder: string, tensor: string, element: number): Promise<void> {
  const file = path.join(folder, 'model.safetensors');
  const { tensors } = await readSafetensorsHeader(file);
  const entry = tensors.find(({ name }) => name === tensor)!;
  const handle = await open(file, 'r+');
  try {
    await handle.write(Uint8Array.of(0xc0, 0x7f), 0, 2, entry.byteOffset + 2 * element);
  } finally {
    await handle.close();
  }
}

function writePlan(folder: string, plan: unknown): Promise<void> {
  return writeFile(path.join(folder, 'own.moeplan.json'), JSON.stringify(plan, undefined, 2));
}

const otherPlan = {
  version: 1,
  source: { checkpoint: 'other', family: 'qwen2-moe', fingerprint: 'f'.repeat(64), experts: 16, activeExperts: 4 },
  activeExperts: [4, 4, 4, 4, 4, 4, 4, 3],
};
const tasks = ['tasks.jsonl'];
const withPlan: BrokenRequest = { name: 'evaluate', options: { plan: 'own.moeplan.json', tasks } };
const newPlan: BrokenRequest = { name: 'budget', options: { total: 24, out: 'new.moeplan.json' } };
const profile: BrokenRequest = { name: 'profile', options: { samples: 1024 } };

/** A weight that is no number is found by whatever computes with it. */
function notANumber(tensor: string, request: BrokenRequest): BrokenSample {
  return {
    name: `${request.name} with a NaN in ${tensor}`,
    breakIt: (folder) => putNaN(folder, tensor, 130),
    request,
    code: 'nonFiniteWeights',
    file: 'model.safetensors',
    place: new RegExp(`^${tensor.replaceAll('.', '\\.')}`),
    message: /NaN|finite/,
  };
}

export const brokenSamples: readonly BrokenSample[] = [
  notANumber('model.layers.5.mlp.experts.3.down_proj.weight', profile),
  notANumber('model.layers.7.mlp.gate.weight', newPlan),
  notANumber('model.layers.2.mlp.shared_expert.up_proj.weight', profile),
  notANumber('model.layers.4.self_attn.k_proj.weight', { name: 'evaluate', options: { tasks } }),
  notANumber('model.layers.6.mlp.gate.weight', { name: 'evaluate', options: { tasks } }),
  notANumber('lm_head.weight', { name: 'evaluate', options: { tasks } }),
  {
    name: 'plan of another model',
    breakIt: (folder) => writePlan(folder, otherPlan),
    request: withPlan,
    code: 'planForAnotherCheckpoint',
    file: 'own.moeplan.json',
    place: /^source\.(family|fingerprint)$/,
    message: /made for/,
  },
  {
    name: 'budgets into the plan of another model',
    breakIt: (folder) => writePlan(folder, otherPlan),
    request: { name: 'budget', options: { total: 24, out: 'own.moeplan.json' } },
    code: 'planForAnotherCheckpoint',
    file: 'own.moeplan.json',
    place: /^source\.(family|fingerprint)$/,
    message: /made for/,
  },
  {
    name: 'plan with more active experts than there are experts',
    breakIt: (folder) => writePlan(folder, { version: 1, activeExperts: [4, 4, 17, 4, 4, 4, 4, 4] }),
    request: withPlan,
    code: 'malformedPlan',
    file: 'own.moeplan.json',
    place: /^activeExperts\[2\]/,
    message: /layer 2 cannot have 17 active experts/,
  },
  {
    name: 'plan with too few layers',
    breakIt: (folder) => writePlan(folder, { version: 1, activeExperts: [4, 4] }),
    request: withPlan,
    code: 'malformedPlan',
    file: 'own.moeplan.json',
    place: /^activeExperts/,
    message: /2 layers.*8 MoE layers/,
  },
  {
    name: 'plan that is not JSON',
    breakIt: (folder) =>
      writeFile(path.join(folder, 'own.moeplan.json'), '{\n  "version": 1,\n  "activeExperts": [4, 4'),
    request: withPlan,
    code: 'malformedPlan',
    file: 'own.moeplan.json',
    place: /line 3/,
    message: /malformed/,
  },
  {
    name: 'plan that does not exist',
    breakIt: () => Promise.resolve(),
    request: withPlan,
    code: 'fileNotFound',
    file: 'own.moeplan.json',
    place: /^/,
    message: /no such file/i,
  },
  {
    name: 'dense model',
    breakIt: async (folder) => {
      const weight = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
      await writeFile(path.join(folder, 'config.json'), JSON.stringify({ model_type: 'llama', hidden_size: 2 }));
      await writeFile(path.join(folder, 'model.safetensors'), safetensorsBytes({ 'model.norm.weight': weight }, 8));
    },
    request: profile,
    code: 'notMixtureOfExperts',
    file: 'config.json',
    place: /^model_type$/,
    message: /no experts/,
  },
  {
    name: 'unknown family',
    breakIt: (folder) => changeConfig(folder, { model_type: 'mystery_moe', architectures: ['MysteryForCausalLM'] }),
    request: profile,
    code: 'unknownFamily',
    file: 'config.json',
    place: /^model_type$/,
    message: /"mystery_moe" is not known/,
  },
  {
    name: 'no tokenizer',
    breakIt: (folder) => rm(path.join(folder, 'tokenizer.json')),
    request: { name: 'evaluate', options: { tasks } },
    code: 'missingTokenizer',
    file: 'tokenizer.json',
    place: /^/,
    message: /no tokenizer\.json/,
  },
  {
    name: 'more active experts than experts',
    breakIt: (folder) => changeConfig(folder, { num_experts_per_tok: 17 }),
    request: profile,
    code: 'contradictoryConfig',
    file: 'config.json',
    place: /num_experts_per_tok/,
    message: /17/,
  },
  ...[15, 17].map((experts): BrokenSample => ({
    name: `${experts} experts by the config, 16 by the tensors`,
    breakIt: (folder) => changeConfig(folder, { num_experts: experts }),
    request: newPlan,
    code: 'contradictoryConfig',
    file: 'config.json',
    place: /num_experts/,
    message: new RegExp(`\\b${experts}\\b`),
  })),
  {
    name: 'a layer more by the config than by the tensors',
    breakIt: (folder) => changeConfig(folder, { num_hidden_layers: 9 }),
    request: { name: 'evaluate', options: { tasks } },
    code: 'contradictoryConfig',
    file: 'config.json',
    place: /num_hidden_layers/,
    message: /no tensor of layer 8/,
  },
  {
    name: 'tasks that are not JSON',
    breakIt: (folder) =>
      writeFile(path.join(folder, 'tasks.jsonl'), '{"task": "a", "prompt": "b", "answer": "c"}\nnope\n'),
    request: { name: 'evaluate', options: { tasks } },
    code: 'malformedText',
    file: 'tasks.jsonl',
    place: /line 2/,
    message: /not valid JSON/,
  },
  {
    name: 'text that does not exist',
    breakIt: () => Promise.resolve(),
    request: { name: 'evaluate', options: { text: ['missing.txt'] } },
    code: 'fileNotFound',
    file: 'missing.txt',
    place: /^/,
    message: /no such file/i,
  },
];
