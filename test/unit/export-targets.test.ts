import { describe, expect, it } from 'vitest';
import { chooseDelivery } from '../../engine/export/chooseDelivery';
import { ownExpertCountKey } from '../../engine/export/expertCountKeys';
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
      ...Object.values(exportTargets).flatMap((target) => [target.families, target.experts.families]),
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
      const { families: byFamily, others, experts } = exportTargets[target];
      const counts = [...Object.values(experts.families), experts.others];
      for (const support of [...Object.values(byFamily), others, ...counts]) {
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
    ['huggingface', 'minicpm', /not part of Transformers/, /this family: onnx\./],
    ['vllm', 'minicpm', /fused layer/, /this family: onnx\./],
    ['sglang', 'qwen3_moe', /one number for all layers/, /huggingface, vllm/],
    ['llama.cpp', 'qwen3_moe', /--override-kv takes no list/, /huggingface, vllm/],
    ['llama.cpp', 'hunyuan_v1_moe', /--override-kv takes no list/, /huggingface, vllm, sglang/],
    ['onnx', 'jamba', /Mamba layers are not implemented/, /huggingface/],
  ] as const)('%s refuses %s with the reason and the way out', (target, family, reason, wayOut) => {
    const error = refusal(target, family, [4, 2, 3]);
    expect([error.code, error.kind, error.details.place]).toEqual(['unsupportedFeature', 'input', '--target']);
    expect(error.message).toMatch(reason);
    expect(error.details.wayOut).toMatch(wayOut);
  });
});

describe('changed experts', () => {
  const changed = (
    target: TargetName,
    name: string,
    after: readonly number[],
    activeExperts: readonly number[] = [2, 2],
    trainedActiveExperts: readonly number[] = [2, 2],
  ) =>
    chooseDelivery({
      target,
      family: { name, title: name },
      activeExperts,
      trainedActiveExperts,
      configKey: 'num_experts_per_tok',
      experts: { before: 8, after },
    });

  it.each(['huggingface', 'vllm', 'sglang', 'llama.cpp'] as const)('%s takes one number for all layers', (target) => {
    expect(changed(target, 'mixtral', [6, 6])).toMatchObject({ delivery: 'scalar', artefact: 'checkpoint' });
    expect(changed(target, 'mixtral', [8, 8]).explanation).toMatch(/All 8 experts of a layer stay/);
    expect(() => changed(target, 'mixtral', [6, 5])).toThrow(/different numbers of experts per layer of mixtral/);
  });

  it.each([
    ['jetmoe', [6, 6], /attention experts/],
    ['jamba', [1, 1], /a single expert of jamba.*dense layer/],
    ['hunyuan_v1_moe', [1, 1], /dense layer/],
  ] as const)('%s cannot have %j experts in Transformers', (family, after, reason) => {
    expect(() => changed('huggingface', family, after, [1, 1], [1, 1])).toThrow(reason);
  });

  it('llama.cpp takes families that its converter knows, as a GGUF file or a folder to convert', () => {
    expect(changed('llama.cpp', 'olmoe', [6, 6]).explanation).toMatch(/written as a GGUF file/);
    expect(changed('llama.cpp', 'llama4_text', [6, 6]).explanation).toMatch(/not written here.*convert_hf_to_gguf\.py/);
    expect(() => changed('llama.cpp', 'cohere2_moe', [6, 6])).toThrow(/converter does not know/);
  });

  it('a number of active experts that cannot change is no obstacle where it does not', () => {
    expect(changed('huggingface', 'phimoe', [6, 6])).toMatchObject({ delivery: 'scalar' });
    expect(() => changed('huggingface', 'phimoe', [6, 6], [1, 1])).toThrow(/sparse mixer/);
  });

  it('ONNX takes different numbers of experts per layer', () => {
    expect(changed('onnx', 'mixtral', [6, 5])).toMatchObject({ delivery: 'graph' });
  });

  it('every family has a key of its own for the number of experts', () => {
    expect(Object.keys(ownExpertCountKey).sort()).toEqual([...names].sort());
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
  });

  it('is refused where an override would replace the object around it', () => {
    expect(refusal('sglang', 'dbrx', [2, 2], 'ffn_config.moe_top_k').message).toMatch(/ffn_config\.moe_top_k/);
  });
});
