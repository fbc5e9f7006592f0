import { describe, expect, it } from 'vitest';
import { ConfigReader } from '../../engine/checkpoint/configReader';
import { TunerError } from '../../engine/protocol/errors';

const file = '/models/x/config.json';

function failure(work: () => unknown): TunerError {
  try {
    work();
  } catch (error) {
    if (error instanceof TunerError) {
      return error;
    }
    throw error;
  }
  throw new Error('It was accepted.');
}

describe('config reader', () => {
  const reader = new ConfigReader(
    {
      num_experts: 32,
      n_routed_experts: 32,
      num_local_experts: 16,
      top_k: null,
      num_experts_per_tok: 4,
      scale: 2.5,
      norm: true,
      hidden_act: 'silu',
      layers: [0, 2],
      wrong: '8',
      huge: 1e300,
      text_config: { num_experts: 64, rope: { theta: 10000 } },
    },
    file,
  );

  it('takes the first alias that is present and says which it was', () => {
    expect(reader.integer(['moe_num_experts', 'n_routed_experts', 'num_experts'])).toEqual({
      value: 32,
      key: 'n_routed_experts',
    });
    expect(reader.integer(['top_k', 'num_experts_per_tok'])).toEqual({ value: 4, key: 'num_experts_per_tok' });
    expect(reader.integer(['experts', 'text_config.num_experts'])).toEqual({
      value: 64,
      key: 'text_config.num_experts',
    });
    expect(reader.number(['scale']).value).toBe(2.5);
    expect(reader.boolean(['norm']).value).toBe(true);
    expect(reader.string(['hidden_act']).value).toBe('silu');
    expect(reader.integerList(['layers']).value).toEqual([0, 2]);
  });

  it('knows absence: missing keys, null, and properties every object inherits', () => {
    expect(reader.optionalInteger(['top_k'])).toBeUndefined();
    expect(reader.optionalNumber(['text_config.rope.factor'])).toBeUndefined();
    expect(reader.optionalBoolean(['hidden_act.length'])).toBeUndefined();
    expect(reader.optionalString(['constructor'])).toBeUndefined();
    expect(reader.optionalIntegerList(['text_config.missing'])).toBeUndefined();
    expect([reader.has('top_k'), reader.has('scale'), reader.has('text_config.rope.theta')]).toEqual([
      false,
      true,
      true,
    ]);
    expect(reader.raw('layers')).toEqual([0, 2]);
    const error = failure(() => reader.integer(['hidden_size', 'd_model']));
    expect(error).toMatchObject({ code: 'malformedConfig', details: { file, place: 'hidden_size' } });
    expect(error.message).toContain('d_model');
  });

  it('refuses wrong types and values out of range, naming the key', () => {
    expect(failure(() => reader.integer(['wrong']))).toMatchObject({
      code: 'malformedConfig',
      message: 'The value "8" is not an integer.',
      details: { file, place: 'wrong' },
    });
    for (const work of [
      () => reader.integer(['scale']),
      () => reader.integer(['huge']),
      () => reader.boolean(['num_experts']),
      () => reader.string(['norm']),
      () => reader.integerList(['text_config']),
      () => reader.optionalNumber(['hidden_act']),
      () => reader.integer(['num_experts_per_tok'], { minimum: 5 }),
      () => reader.number(['scale'], { maximum: 2 }),
      () => reader.optionalInteger(['num_experts_per_tok'], { minimum: 1, maximum: 3 }),
    ]) {
      expect(failure(work).code).toBe('malformedConfig');
    }
  });

  it('refuses aliases that disagree, naming both', () => {
    const error = failure(() => reader.integer(['num_experts', 'num_local_experts']));
    expect(error).toMatchObject({
      code: 'contradictoryConfig',
      details: { file, place: 'num_experts, num_local_experts' },
    });
    expect(error.message).toContain('32 and 16');
  });

  it('reads a part of the config under full key names', () => {
    const text = reader.sub('text_config')!;
    expect(text.integer(['num_experts'])).toEqual({ value: 64, key: 'text_config.num_experts' });
    expect(text.sub('rope')!.integer(['theta']).key).toBe('text_config.rope.theta');
    expect(failure(() => text.sub('rope')!.string(['theta'])).details.place).toBe('text_config.rope.theta');
    expect(failure(() => text.integer(['missing'])).details.place).toBe('text_config.missing');
    expect(reader.sub('vision_config')).toBeUndefined();
    expect(failure(() => reader.sub('scale'))).toMatchObject({ code: 'malformedConfig', details: { place: 'scale' } });
  });
});
