import type { RotaryScaling, RotarySpec } from '../families/specification';

/** Cosine and sine of a rotary embedding, each `[time, dimensions / 2]`. */
export interface RotaryTables {
  readonly cosine: Float32Array;
  readonly sine: Float32Array;
  readonly width: number;
}

/** Rotary tables of positions 0 … time - 1 (RoPE, arXiv 2104.09864, with the scalings of Transformers). */
export function rotaryTables(spec: RotarySpec, time: number): RotaryTables {
  const width = spec.dimensions / 2;
  const { frequencies, magnitude } = inverseFrequencies(spec.scaling, spec.dimensions, time);
  const cosine = new Float32Array(time * width);
  const sine = new Float32Array(time * width);
  for (let position = 0; position < time; position += 1) {
    for (let at = 0; at < width; at += 1) {
      const angle = position * frequencies[at]!;
      cosine[position * width + at] = Math.cos(angle) * magnitude;
      sine[position * width + at] = Math.sin(angle) * magnitude;
    }
  }
  return { cosine, sine, width };
}

export interface Frequencies {
  readonly frequencies: readonly number[];
  /** Multiplies cosine and sine. */
  readonly magnitude: number;
}

/** Inverse frequencies of the rotated pairs for a sequence of `time` tokens. */
export function inverseFrequencies(scaling: RotaryScaling, dimensions: number, time: number): Frequencies {
  const plain = (theta: number) => Array.from({ length: dimensions / 2 }, (_, at) => theta ** ((-2 * at) / dimensions));
  switch (scaling.kind) {
    case 'default':
      return { frequencies: plain(scaling.theta), magnitude: 1 };
    case 'linear':
      return { frequencies: plain(scaling.theta).map((value) => value / scaling.factor), magnitude: 1 };
    case 'dynamic': {
      const length = Math.max(time, scaling.maxPositions);
      const growth = (scaling.factor * length) / scaling.maxPositions - (scaling.factor - 1);
      const theta = scaling.theta * growth ** (dimensions / (dimensions - 2));
      return { frequencies: plain(theta), magnitude: 1 };
    }
    case 'yarn':
      return { frequencies: yarn(scaling, plain(scaling.theta), dimensions), magnitude: scaling.attentionFactor };
    case 'llama3':
      return { frequencies: plain(scaling.theta).map((value) => llama3(scaling, value)), magnitude: 1 };
    case 'longrope': {
      const long = time > scaling.originalPositions;
      const factors = long ? scaling.longFactor : scaling.shortFactor;
      return {
        frequencies: plain(scaling.theta).map((value, at) => value / factors[at]!),
        magnitude: long ? scaling.longScale : scaling.shortScale,
      };
    }
  }
}

/** YaRN (arXiv 2309.00071, §3.2): interpolate low frequencies, keep high ones, ramp between. */
function yarn(
  scaling: Extract<RotaryScaling, { kind: 'yarn' }>,
  plain: readonly number[],
  dimensions: number,
): readonly number[] {
  const turnsAt = (rotations: number) =>
    (dimensions * Math.log(scaling.originalPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(scaling.theta));
  const [rawLow, rawHigh] = [turnsAt(scaling.betaFast), turnsAt(scaling.betaSlow)];
  const low = Math.max(scaling.truncate ? Math.floor(rawLow) : rawLow, 0);
  const high = Math.min(scaling.truncate ? Math.ceil(rawHigh) : rawHigh, dimensions - 1);
  const span = high === low ? 0.001 : high - low;
  return plain.map((value, at) => {
    const ramp = Math.min(Math.max((at - low) / span, 0), 1);
    return (value / scaling.factor) * ramp + value * (1 - ramp);
  });
}

/** Llama 3.1's frequency-dependent scaling. */
function llama3(scaling: Extract<RotaryScaling, { kind: 'llama3' }>, value: number): number {
  const waveLength = (2 * Math.PI) / value;
  const { originalPositions, lowFrequencyFactor, highFrequencyFactor, factor } = scaling;
  if (waveLength < originalPositions / highFrequencyFactor) {
    return value;
  }
  if (waveLength > originalPositions / lowFrequencyFactor) {
    return value / factor;
  }
  const smooth = (originalPositions / waveLength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  return ((1 - smooth) * value) / factor + smooth * value;
}
