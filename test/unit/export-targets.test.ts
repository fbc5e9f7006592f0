import { describe, expect, it } from 'vitest';
import { chooseDelivery } from '../../engine/export/chooseDelivery';
import { llamaCppArchitectures } from '../../engine/export/llamaCppArchitectures';
import { exportTargets, perLayerSupport } from '../../engine/export/targets';
import { transformersRouters } from '../../engine/export/transformersRouters';
import { families } from '../../engine/families/registry';
import { targetNames, type TargetName } from '../../engine/protocol/apply';
import { TunerError } from '../../engine/protocol/errors';

const names = new Set(families.map(({ name }) => name));

function choose(target: TargetName, name: string, activeExperts: readonly number[], configKey = 'num_experts_per_tok') {
  return chooseDelivery({ target, family: { name, title: name }, activeExperts, configKey });
}

function refusal(target: TargetName, name: string, activeExperts: readonly number[], configKey?: string): TunerError {
  try {
    choose(target, name, activeExperts, configKey);
  } catch (error) {
    if (TunerError.is(error)) {
      return error;
    }
    throw error;
  }
  throw new Error(`${target} accepted ${name}.`);
}

describe('the table of targets', () => {
  it('names families that exist', () => {
    const tables = [
      transformersRouters,
      llamaCppArchitectures,
      ...Object.values(exportTargets).map((target) => target.families),
    ];
    for (const name of tables.flatMap((table) => Object.keys(table))) {
      expect(names).toContain(name);
    }
  });

  it('knows for every loader of Transformers where the number is', () => {
    for (const name of names) {
      const { kind } = perLayerSupport('huggingface', name);
      expect(kind === 'loader', name).toBe(transformersRouters[name] !== undefined);
    }
  });

  it('gives a reason for everything that cannot be loaded', () => {
    for (const target of targetNames) {
      for (const support of [...Object.values(exportTargets[target].families), exportTargets[target].others]) {
        expect('reason' in support ? support.reason.length : 99).toBeGreaterThan(20);
      }
    }
  });

  it('does not take the names of object members for families', () => {
    expect(perLayerSupport('llama.cpp', 'constructor').kind).toBe('nothing');
  });
});

describe('different numbers per layer', () => {
  it.each([
    ['huggingface', 'qwen3_moe', 'loader'],
    ['huggingface', 'hunyuan_v1_moe', 'list'],
    ['vllm', 'mixtral', 'loader'],
    ['vllm', 'hunyuan_v1_moe', 'list'],
    ['sglang', 'hunyuan_v1_moe', 'list'],
  ] as const)('%s takes %s by %s', (target, family, delivery) => {
    expect(choose(target, family, [4, 2, 3])).toMatchObject({ delivery, artefact: 'checkpoint' });
  });

  it.each([
    ['huggingface', 'phimoe', /sparse mixer/, /No target/],
    ['huggingface', 'jetmoe', /attention experts/, /No target/],
    ['huggingface', 'minicpm', /not part of Transformers/, /No target/],
    ['vllm', 'minicpm', /fused layer/, /No target/],
    ['sglang', 'qwen3_moe', /one number for all layers/, /huggingface, vllm/],
    ['llama.cpp', 'qwen3_moe', /--override-kv takes no list/, /huggingface, vllm/],
    ['llama.cpp', 'hunyuan_v1_moe', /--override-kv takes no list/, /huggingface, vllm, sglang/],
    ['onnx', 'qwen3_moe', /comes with the ONNX export/, /huggingface, vllm/],
  ] as const)('%s refuses %s with the reason and the way out', (target, family, reason, wayOut) => {
    const error = refusal(target, family, [4, 2, 3]);
    expect([error.code, error.kind, error.details.place]).toEqual(['unsupportedFeature', 'input', '--target']);
    expect(error.message).toMatch(reason);
    expect(error.details.wayOut).toMatch(wayOut);
  });
});

describe('the same number in all layers', () => {
  it.each([
    ['huggingface', 'qwen3_moe', 'checkpoint'],
    ['huggingface', 'minicpm', 'checkpoint'],
    ['vllm', 'hunyuan_v1_moe', 'checkpoint'],
    ['sglang', 'qwen3_moe', 'arguments'],
    ['llama.cpp', 'mixtral', 'arguments'],
  ] as const)('%s takes %s as one number in the %s', (target, family, artefact) => {
    expect(choose(target, family, [3, 3, 3])).toMatchObject({ delivery: 'scalar', artefact });
  });

  it('is refused where no runtime can change it, or the name is not known', () => {
    expect(refusal('huggingface', 'phimoe', [1, 1]).message).toMatch(/always takes two/);
    expect(refusal('vllm', 'jetmoe', [1, 1]).message).toMatch(/attention/);
    expect(refusal('llama.cpp', 'aria_text', [3, 3]).message).toMatch(/GGUF/);
    expect(refusal('onnx', 'mixtral', [1, 1]).message).toMatch(/ONNX export/);
  });

  it('is refused where an override would replace the object around it', () => {
    expect(refusal('sglang', 'dbrx', [2, 2], 'ffn_config.moe_top_k').message).toMatch(/ffn_config\.moe_top_k/);
  });
});
