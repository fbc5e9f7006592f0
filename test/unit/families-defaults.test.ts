import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../engine/checkpoint/openCheckpoint';
import type { Checkpoint } from '../../engine/checkpoint/types';
import { commonConfigKeys, textConfigPaths } from '../../engine/families/configKeys';
import { resolveModel } from '../../engine/families/resolveModel';
import { TunerError } from '../../engine/protocol/errors';
import { blockCheckpoints } from '../support/blockCheckpoints/blockCheckpoints';
import { temporaryFolder } from '../support/temporaryFolder';
import type { TinyCheckpoint } from '../support/tinyCheckpoints/tinyCheckpoint';
import { tinyCheckpoints } from '../support/tinyCheckpoints/tinyCheckpoints';
import { writeTinyCheckpoint } from '../support/tinyCheckpoints/writeTinyCheckpoint';

/**
 * A key that config.json leaves out means what the configuration class of the reference library says: leaving it out and stating
 * that value must give the same model, or the same refusal. `configDefaults.json` is captured from Transformers.
 */

type Config = Record<string, unknown>;

const captured = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../golden/transformers/configDefaults.json'), 'utf8'),
) as { defaults: Record<string, Config> };

/** Keys of one fact: what is left out is the fact, under every name. */
const aliases: readonly (readonly string[])[] = [
  ...Object.values(commonConfigKeys),
  ['ffn_config.moe_num_experts', ...commonConfigKeys.experts],
  ['rope_parameters', 'rope_theta', 'rope_scaling', 'partial_rotary_factor', 'rotary_dim', 'attn_config.rope_theta'],
  ['norm_topk_prob', 'moe_renormalize'],
  ['num_expert_group', 'n_group'],
  ['tie_word_embeddings', 'tie_embedding'],
  ['rms_norm_eps', 'norm_eps', 'layer_norm_epsilon', 'layer_norm_eps'],
];

/** Keys whose value the class derives from others, so that it is no default: by model types. */
const derived: Readonly<Record<string, readonly string[]>> = {
  // The rotary part of latent attention.
  head_dim: ['deepseek_v2', 'deepseek_v3', 'deepseek_v32', 'axk1', 'glm_moe_dsa', 'kimi_linear', 'mistral4'],
  // As many as there are heads.
  num_key_value_heads: ['flex_olmo', 'granitemoe', 'granitemoeshared', 'hunyuan_v1_moe', 'olmoe'],
  // Whether the head is tied is said by the wrapper of this text model.
  tie_word_embeddings: ['qwen3_vl_moe_text'],
};

function without(config: Config, keys: readonly string[]): Config {
  const kept = Object.entries(config).filter(([key]) => !keys.includes(key));
  const below = (key: string) =>
    keys.filter((each) => each.startsWith(`${key}.`)).map((each) => each.slice(key.length + 1));
  return Object.fromEntries(
    kept.map(([key, value]) => [key, below(key).length > 0 ? without(value as Config, below(key)) : value]),
  );
}

function stating(config: Config, key: string, value: unknown): Config {
  const copy = structuredClone(config);
  const parts = key.split('.');
  const parent = parts.slice(0, -1).reduce((at, part) => (at[part] ??= {}) as Config, copy);
  parent[parts.at(-1)!] = value;
  return copy;
}

/** Everything the engine would compute with, without the places of weights; or why it refuses. */
function outcome(checkpoint: Checkpoint, config: Config): string {
  const facts = (value: unknown) =>
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === 'object' && part !== null && 'byteOffset' in part ? (part as { name?: string }).name : part,
    );
  try {
    const model = resolveModel({ ...checkpoint, config });
    const blocks = model.blocks.map((block) => ({ ...block, experts: block.experts.length }));
    const decoder = model.forwardRefusal === undefined ? model.decoder() : undefined;
    const layers = decoder?.layers.map(({ feedForward, ...layer }) => [layer, feedForward.kind]);
    return facts([blocks, model.blockNorm(blocks[0]!.layer), { ...decoder, layers }]);
  } catch (error) {
    if (!TunerError.is(error)) {
      throw error;
    }
    return `${error.code}: ${error.message}`;
  }
}

/** Path and content of the config object that states the model type. */
function textConfig(config: Config): [path: string | undefined, text: Config] {
  const found = textConfigPaths.find((at) => outerPart(config, at)?.['model_type'] !== undefined);
  return found === undefined ? [undefined, config] : [found, outerPart(config, found)!];
}

function outerPart(config: Config, at: string): Config | undefined {
  return at.split('.').reduce<Config | undefined>((part, key) => part?.[key] as Config | undefined, config);
}

/** Of one dense and one MoE layer, or two MoE layers, follows the rest. */
const fewLayers = 2;

const checkpoints = [...tinyCheckpoints, ...blockCheckpoints];

const cases = Object.entries(captured.defaults).map(([modelType, defaults]) => {
  const checkpoint = checkpoints.find(({ config }) => textConfig(config)[1]['model_type'] === modelType);
  return [modelType, checkpoint!, defaults] as const;
});

function shortened(checkpoint: TinyCheckpoint): TinyCheckpoint {
  const beyond = (name: string) => Number(/\b(?:layers|blocks)\.(\d+)\./.exec(name)?.[1] ?? 0) >= fewLayers;
  return { ...checkpoint, tensors: checkpoint.tensors.filter(({ name }) => !beyond(name)) };
}

describe('what a config leaves out', () => {
  test.each(cases)('%s', async (modelType, tiny, defaults) => {
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(shortened(tiny), await temporaryFolder()));
    const known = new Map<string, string>();
    const remembered = (config: Config) => {
      const key = JSON.stringify(config);
      const found = known.get(key) ?? outcome(checkpoint, config);
      known.set(key, found);
      return found;
    };
    const [at, own] = textConfig(checkpoint.config);
    const text = { ...own, ...('n_layers' in own ? { n_layers: fewLayers } : { num_hidden_layers: fewLayers }) };
    const whole = (part: Config) => (at === undefined ? part : stating(checkpoint.config, at, part));
    for (const [key, value] of Object.entries(defaults)) {
      if (derived[key]?.includes(modelType) === true) {
        continue;
      }
      const names = [key, ...aliases.filter((group) => group.includes(key)).flat()];
      const left = without(text, names);
      expect(remembered(whole(left)), key).toBe(remembered(whole(stating(left, key, value))));
    }
  });
});
