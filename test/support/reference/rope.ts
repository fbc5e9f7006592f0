import type { ConfigValues } from './configValues';

/** Rotary position embedding of one model: which dimensions turn, how fast, and how pairs lie in memory. */
export interface Rope {
  /** Angle per position of each pair. The rotary dimension is twice the length. */
  readonly frequencies: Float64Array;
  /** Factor on cosine and sine (YaRN and LongRoPE attention factor). */
  readonly magnitude: number;
  /** `half`: dimension d turns with d + half; `interleaved`: 2d turns with 2d + 1. */
  readonly pairs: 'half' | 'interleaved';
}

/** Everything about scaling in one shape, whether the file has `rope_parameters` or `rope_theta` and `rope_scaling`. */
export interface RopeParameters {
  readonly type: string;
  readonly theta: number;
  readonly section: ConfigValues | undefined;
  readonly partialRotaryFactor: number;
  readonly maxPositions: number;
  readonly originalPositions: number;
}

export function readRopeParameters(
  config: ConfigValues,
  defaults: { theta: number; partialRotaryFactor?: number; layerType?: string },
): RopeParameters {
  const whole = config.section('rope_parameters') ?? config.section('rope_scaling');
  const section = defaults.layerType === undefined ? whole : (whole?.section(defaults.layerType) ?? whole);
  const maxPositions = config.number('max_position_embeddings', 2048);
  return {
    type: section?.text('rope_type', section.text('type', 'default')) ?? 'default',
    theta: section?.optionalNumber('rope_theta') ?? config.number('rope_theta', defaults.theta),
    section,
    partialRotaryFactor:
      section?.optionalNumber('partial_rotary_factor') ??
      config.number('partial_rotary_factor', defaults.partialRotaryFactor ?? 1),
    maxPositions,
    originalPositions:
      config.optionalNumber('original_max_position_embeddings') ??
      section?.optionalNumber('original_max_position_embeddings') ??
      maxPositions,
  };
}

/** The frequencies and magnitude for sequences of `length` tokens with `dimensions` rotary dimensions. */
export function makeRope(parameters: RopeParameters, dimensions: number, length: number, pairs: Rope['pairs']): Rope {
  const { theta } = parameters;
  switch (parameters.type) {
    case 'default':
      return { frequencies: plainFrequencies(theta, dimensions), magnitude: 1, pairs };
    case 'linear': {
      const factor = parameters.section!.number('factor');
      return { frequencies: plainFrequencies(theta, dimensions).map((value) => value / factor), magnitude: 1, pairs };
    }
    case 'dynamic':
      return { frequencies: dynamicFrequencies(parameters, dimensions, length), magnitude: 1, pairs };
    case 'llama3':
      return { frequencies: llama3Frequencies(parameters, dimensions), magnitude: 1, pairs };
    case 'yarn':
      return { ...yarn(parameters, dimensions), pairs };
    case 'longrope':
      return { ...longRope(parameters, dimensions, length), pairs };
    default:
      throw new Error(`Unknown rotary scaling ${parameters.type}.`);
  }
}

/** Turns the first rotary dimensions of one head in place; the rest passes. */
export function rotate(head: Float64Array, position: number, rope: Rope): void {
  const half = rope.frequencies.length;
  for (let pair = 0; pair < half; pair += 1) {
    const first = rope.pairs === 'half' ? pair : 2 * pair;
    const second = rope.pairs === 'half' ? pair + half : 2 * pair + 1;
    const angle = position * rope.frequencies[pair]!;
    const cosine = Math.cos(angle) * rope.magnitude;
    const sine = Math.sin(angle) * rope.magnitude;
    const a = head[first]!;
    const b = head[second]!;
    head[first] = a * cosine - b * sine;
    head[second] = b * cosine + a * sine;
  }
}

/** `theta^(−2d / dimensions)` for each pair d. */
export function plainFrequencies(theta: number, dimensions: number): Float64Array {
  return Float64Array.from({ length: dimensions / 2 }, (_, pair) => theta ** ((-2 * pair) / dimensions));
}

/** The YaRN magnitude for one `mscale`: `0.1 · mscale · ln(factor) + 1`, and 1 where nothing is stretched. */
export function yarnMagnitude(factor: number, mscale: number): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
}

/** Dynamic NTK: the base grows once the sequence is longer than the trained length. */
function dynamicFrequencies(parameters: RopeParameters, dimensions: number, length: number): Float64Array {
  const factor = parameters.section!.number('factor');
  const stretched = Math.max(length, parameters.maxPositions);
  const growth = (factor * stretched) / parameters.maxPositions - (factor - 1);
  return plainFrequencies(parameters.theta * growth ** (dimensions / (dimensions - 2)), dimensions);
}

/** Llama 3: long wavelengths are divided by the factor, short ones kept, those between interpolated. */
function llama3Frequencies(parameters: RopeParameters, dimensions: number): Float64Array {
  const section = parameters.section!;
  const factor = section.number('factor');
  const low = section.number('low_freq_factor');
  const high = section.number('high_freq_factor');
  const original = parameters.originalPositions;
  return plainFrequencies(parameters.theta, dimensions).map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < original / high) return frequency;
    if (wavelength > original / low) return frequency / factor;
    const smooth = (original / wavelength - low) / (high - low);
    return (1 - smooth) * (frequency / factor) + smooth * frequency;
  });
}

/** YaRN: fast dimensions extrapolate, slow ones interpolate, with a ramp between two rotation counts. */
function yarn(parameters: RopeParameters, dimensions: number): { frequencies: Float64Array; magnitude: number } {
  const section = parameters.section!;
  const original = parameters.originalPositions;
  const factor = section.optionalNumber('factor') ?? parameters.maxPositions / original;
  const truncate = section.flag('truncate', true);
  const dimensionOf = (rotations: number) =>
    (dimensions * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(parameters.theta));
  const fast = dimensionOf(section.optionalNumber('beta_fast') || 32);
  const slow = dimensionOf(section.optionalNumber('beta_slow') || 1);
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(truncate ? Math.ceil(slow) : slow, dimensions - 1);
  const width = high === low ? 0.001 : high - low;
  const frequencies = plainFrequencies(parameters.theta, dimensions).map((frequency, pair) => {
    const interpolated = Math.min(Math.max((pair - low) / width, 0), 1);
    return (frequency / factor) * interpolated + frequency * (1 - interpolated);
  });
  const mscale = section.optionalNumber('mscale');
  const mscaleAll = section.optionalNumber('mscale_all_dim');
  const magnitude =
    mscale && mscaleAll ? yarnMagnitude(factor, mscale) / yarnMagnitude(factor, mscaleAll) : yarnMagnitude(factor, 1);
  return { frequencies, magnitude: section.optionalNumber('attention_factor') ?? magnitude };
}

/** LongRoPE: a factor for each pair, one list for short and one for long sequences. */
function longRope(
  parameters: RopeParameters,
  dimensions: number,
  length: number,
): { frequencies: Float64Array; magnitude: number } {
  const section = parameters.section!;
  const original = parameters.originalPositions;
  const stretch = section.optionalNumbers(length > original ? 'long_factor' : 'short_factor')!;
  const factor = section.optionalNumber('factor') ?? parameters.maxPositions / original;
  const magnitude = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  return {
    frequencies: plainFrequencies(parameters.theta, dimensions).map((frequency, pair) => frequency / stretch[pair]!),
    magnitude: section.optionalNumber('attention_factor') ?? magnitude,
  };
}
