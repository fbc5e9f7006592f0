import type { LatentAttentionSpec, RotarySpec } from '../../families/specification';
import type { GgufArchitecture } from './architectures';
import type { GgufValue } from './ggufHeader';

/** Relative difference below which a factor counts as the one that llama.cpp computes itself. */
const tolerance = 1e-4;
/** YaRN's bounds that llama.cpp has built in. */
const betas = { fast: 32, slow: 1 };

/** Why llama.cpp cannot compute a rotary embedding; undefined where it can. */
export function rotaryRefusal({ scaling }: RotarySpec, { rotaryFactors }: GgufArchitecture): string | undefined {
  switch (scaling.kind) {
    case 'default':
    case 'linear':
      return undefined;
    case 'yarn':
      return yarnRefusal(scaling, 1 + 0.1 * Math.log(scaling.factor));
    case 'llama3':
      return rotaryFactors === true ? undefined : 'rotary frequencies are scaled like those of Llama 3';
    case 'dynamic':
    case 'longrope':
      return `rotary frequencies have the scaling "${scaling.kind}"`;
  }
}

function yarnRefusal(
  { attentionFactor, betaFast, betaSlow }: Extract<RotarySpec['scaling'], { kind: 'yarn' }>,
  expected: number,
): string | undefined {
  if (betaFast !== betas.fast || betaSlow !== betas.slow) {
    return `YaRN has the bounds ${betaFast} and ${betaSlow}`;
  }
  return Math.abs(attentionFactor - expected) > tolerance * expected
    ? `YaRN multiplies by ${attentionFactor} instead of ${expected.toFixed(4)}`
    : undefined;
}

/** The keys of a rotary embedding, after the prefix of the architecture. */
export function rotaryMetadata({ dimensions, scaling }: RotarySpec): [string, GgufValue][] {
  const keys: [string, GgufValue][] = [
    ['rope.dimension_count', { type: 'uint32', value: dimensions }],
    ['rope.freq_base', { type: 'float32', value: scaling.theta }],
  ];
  if (scaling.kind === 'linear' || scaling.kind === 'yarn') {
    keys.push(
      ['rope.scaling.type', { type: 'string', value: scaling.kind }],
      ['rope.scaling.factor', { type: 'float32', value: scaling.factor }],
    );
  }
  if (scaling.kind === 'yarn') {
    keys.push(['rope.scaling.original_context_length', { type: 'uint32', value: scaling.originalPositions }]);
  }
  return keys;
}

/**
 * DeepSeek's YaRN multiplies attention logits by (1 + 0.1 · m · ln factor)², where m is the model's own number (`mscale_all_dim`). The
 * file holds 0.1 · m; llama.cpp then leaves cosine and sine as they are.
 * @returns the number for the file, undefined where there is no such factor, or a reason where it cannot be expressed
 */
export function latentYarn(mixer: LatentAttentionSpec): { logMultiplier: number } | { reason: string } | undefined {
  const { scaling } = mixer.rotary;
  const plain = 1 / Math.sqrt(mixer.noRopeSize + mixer.ropeSize);
  const root = Math.sqrt(mixer.scale / plain);
  const unscaled = Math.abs(root - 1) <= tolerance;
  if (scaling.kind !== 'yarn') {
    return unscaled ? undefined : { reason: `attention logits are multiplied by ${mixer.scale}` };
  }
  const reason = yarnRefusal(scaling, unscaled ? 1 + 0.1 * Math.log(scaling.factor) : 1);
  if (reason !== undefined) {
    return { reason };
  }
  return unscaled ? undefined : { logMultiplier: (root - 1) / Math.log(scaling.factor) };
}

/**
 * Divisors of the rotary frequencies as Llama 3 scales them: `rope_freqs.weight`. Formula: `_compute_llama3_parameters` of
 * Transformers (modeling_rope_utils.py).
 */
export function rotaryFactors({ dimensions, scaling }: RotarySpec): Float32Array | undefined {
  if (scaling.kind !== 'llama3') {
    return undefined;
  }
  const { theta, factor, lowFrequencyFactor, highFrequencyFactor, originalPositions } = scaling;
  return Float32Array.from({ length: dimensions / 2 }, (_, pair) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * pair) / dimensions);
    const periods = originalPositions / wavelength;
    if (periods > highFrequencyFactor) {
      return 1;
    }
    if (periods < lowFrequencyFactor) {
      return factor;
    }
    const smooth = (periods - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
