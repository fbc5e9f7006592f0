import type { ConfigReader } from '../checkpoint/configReader';
import { TunerError } from '../protocol/errors';
import type { RotaryRecord } from './familyRecord';
import { flag } from './resolveRouter';
import type { RotaryScaling, RotarySpec } from './specification';

/** Where rope parameters are: Transformers 5 nests them (possibly by layer type), 4 spreads them. */
const nestedKeys = ['rope_parameters', 'rope_scaling'] as const;

/** Bases of frequencies. */
const aboveZero = { minimum: Number.MIN_VALUE } as const;

/**
 * Rotary embedding of one layer.
 * @param headSize size of a head, of which a share is rotated
 * @param layerType entry of `layer_types`, for configs with parameters per layer type
 * @throws TunerError `unsupportedFeature` for unknown scaling types, `malformedConfig`
 */
export function resolveRotary(
  config: ConfigReader,
  record: RotaryRecord,
  headSize: number,
  maxPositions: number | undefined,
  layerType: string | undefined,
  configFile: string,
): RotarySpec {
  const nested = nestedReader(config, layerType);
  const number = (key: string) => nested?.optionalNumber([key])?.value;
  const theta =
    nested?.optionalNumber(['rope_theta'], aboveZero)?.value ??
    config.optionalNumber([...(record.thetaKeys ?? []), 'rope_theta'], aboveZero)?.value ??
    record.defaultTheta;
  const stated = record.dimensionKeys === undefined ? undefined : config.optionalInteger(record.dimensionKeys)?.value;
  const partial =
    number('partial_rotary_factor') ??
    config.optionalNumber(['partial_rotary_factor'])?.value ??
    record.defaultPartial ??
    1;
  const dimensions = stated ?? Math.trunc(headSize * partial);
  const interleaved =
    record.pairing === 'interleaved' && (record.interleavedWhen === undefined || flag(config, record.interleavedWhen));
  const type = nested?.optionalString(['rope_type', 'type'])?.value ?? 'default';
  return {
    dimensions,
    pairing: interleaved ? 'interleaved' : 'half',
    scaling: resolveScaling({ type, theta, dimensions, maxPositions, config, nested, record, configFile }),
  };
}

/** m(s) = 0.1 · s · ln(factor) + 1 of YaRN (arXiv 2309.00071, §3.4). */
export function yarnMagnitude(factor: number, scale = 1): number {
  return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
}

/** The softmax scale of MLA grows by m(mscale_all_dim)² under YaRN (DeepSeek-V2 reference code). */
export function latentScaleCorrection(config: ConfigReader): number {
  const nested = nestedReader(config, undefined);
  const type = nested?.optionalString(['rope_type', 'type'])?.value ?? 'default';
  const allDimensions = nested?.optionalNumber(['mscale_all_dim'])?.value ?? 0;
  const factor = nested?.optionalNumber(['factor'])?.value;
  if (type === 'default' || allDimensions === 0 || factor === undefined) {
    return 1;
  }
  return yarnMagnitude(factor, allDimensions) ** 2;
}

function nestedReader(config: ConfigReader, layerType: string | undefined): ConfigReader | undefined {
  for (const key of nestedKeys) {
    if (config.has(key)) {
      const reader = config.sub(key);
      return layerType !== undefined && reader?.has(layerType) ? reader.sub(layerType) : reader;
    }
  }
  return undefined;
}

interface ScalingFacts {
  readonly type: string;
  readonly theta: number;
  readonly dimensions: number;
  readonly maxPositions: number | undefined;
  readonly config: ConfigReader;
  readonly nested: ConfigReader | undefined;
  readonly record: RotaryRecord;
  readonly configFile: string;
}

function resolveScaling(facts: ScalingFacts): RotaryScaling {
  const { type, theta, dimensions, maxPositions, config, nested } = facts;
  const number = (key: string) => nested?.optionalNumber([key])?.value;
  const originalPositions = () =>
    config.optionalNumber(['original_max_position_embeddings'])?.value ??
    number('original_max_position_embeddings') ??
    required('original_max_position_embeddings', maxPositions);
  const required = (key: string, fallback?: number): number => {
    const value = number(key) ?? fallback;
    if (value === undefined) {
      throw new TunerError('malformedConfig', `Rotary scaling of type "${type}" needs this key.`, {
        file: facts.configFile,
        place: `rope_parameters.${key}`,
        wayOut: 'Add the value from the original checkpoint.',
      });
    }
    return value;
  };
  switch (type) {
    case 'default':
      return { kind: 'default', theta };
    case 'linear':
      return { kind: 'linear', theta, factor: required('factor') };
    case 'dynamic': {
      const alpha = number('alpha');
      if (alpha !== undefined) {
        return { kind: 'default', theta: theta * alpha ** (dimensions / (dimensions - 2)) };
      }
      return {
        kind: 'dynamic',
        theta,
        factor: required('factor'),
        maxPositions: required('max_position', maxPositions),
      };
    }
    case 'yarn': {
      const original = originalPositions();
      const factor =
        number('factor') ?? required('factor', maxPositions === undefined ? undefined : maxPositions / original);
      const [magnitude, allDimensions] = [number('mscale') ?? 0, number('mscale_all_dim') ?? 0];
      const attentionFactor =
        number('attention_factor') ??
        (magnitude !== 0 && allDimensions !== 0
          ? yarnMagnitude(factor, magnitude) / yarnMagnitude(factor, allDimensions)
          : yarnMagnitude(factor));
      return {
        kind: 'yarn',
        theta,
        factor,
        betaFast: number('beta_fast') ?? 32,
        betaSlow: number('beta_slow') ?? 1,
        originalPositions: original,
        truncate: nested?.optionalBoolean(['truncate'])?.value ?? true,
        attentionFactor,
      };
    }
    case 'llama3':
      return {
        kind: 'llama3',
        theta,
        factor: required('factor'),
        lowFrequencyFactor: required('low_freq_factor'),
        highFrequencyFactor: required('high_freq_factor'),
        originalPositions: originalPositions(),
      };
    case 'longrope':
    case 'su':
      return longRope(facts, originalPositions());
    default:
      throw new TunerError('unsupportedFeature', `Rotary scaling of type "${type}" is not known.`, {
        file: facts.configFile,
        place: 'rope_parameters.rope_type',
        wayOut: 'Supported types: default, linear, dynamic, yarn, llama3, longrope.',
      });
  }
}

function longRope(facts: ScalingFacts, originalPositions: number): RotaryScaling {
  const { theta, maxPositions, nested, record, configFile } = facts;
  const list = (key: string): readonly number[] => {
    const value = nested?.raw(key);
    const half = facts.dimensions / 2;
    if (!Array.isArray(value) || value.length !== half || !value.every((item) => typeof item === 'number')) {
      throw new TunerError('malformedConfig', `This list must hold ${half} numbers.`, {
        file: configFile,
        place: `rope_parameters.${key}`,
        wayOut: 'Copy the list from the original checkpoint.',
      });
    }
    return value;
  };
  const number = (key: string) => nested?.optionalNumber([key])?.value;
  const shortFactor = list('short_factor');
  const factor = number('factor') ?? (maxPositions === undefined ? 1 : maxPositions / originalPositions);
  const common =
    number('attention_factor') ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions)));
  return {
    kind: 'longrope',
    theta,
    shortFactor,
    longFactor: record.longFactorsUnused === true ? shortFactor : list('long_factor'),
    originalPositions,
    shortScale: number('short_mscale') ?? common,
    longScale: number('long_mscale') ?? common,
  };
}
