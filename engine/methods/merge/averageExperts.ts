import type { FeedForwardWeights } from '../../transform/readWeight';

/** The parts of an expert that are averaged one by one. */
const parts = ['gate', 'up', 'down', 'gateBias', 'upBias', 'downBias'] as const;

/**
 * Weighted sum of experts, W = Σ w_i W_i (M-SMoE §3.2, HC-SMoE §3.3), summed in float64 so that equal experts come back bit for bit.
 * One expert at a time is in memory.
 */
export class ExpertAverage {
  private sums: Partial<Record<(typeof parts)[number], Float64Array>> | undefined;
  private shape: { readonly hiddenSize: number; readonly width: number } | undefined;

  /** Adds one member; all have the same sizes. @param weight its share, the shares of a group sum to 1 */
  add(expert: FeedForwardWeights, weight: number): void {
    this.shape ??= { hiddenSize: expert.hiddenSize, width: expert.width };
    this.sums ??= {};
    for (const part of parts) {
      const values = expert[part];
      if (values === undefined) {
        continue;
      }
      const sum = (this.sums[part] ??= new Float64Array(values.length));
      for (let at = 0; at < sum.length; at += 1) {
        sum[at]! += weight * values[at]!;
      }
    }
  }

  /** The average of everything that was added, rounded to float32. */
  result(): FeedForwardWeights {
    const rounded = (part: (typeof parts)[number]): Float32Array | undefined => {
      const sum = this.sums?.[part];
      return sum === undefined ? undefined : Float32Array.from(sum);
    };
    return {
      ...this.shape!,
      gate: rounded('gate'),
      up: rounded('up')!,
      down: rounded('down')!,
      gateBias: rounded('gateBias'),
      upBias: rounded('upBias'),
      downBias: rounded('downBias'),
    };
  }
}

/** Weights of a group's members as shares that sum to 1; equal ones where all weights are zero. */
export function shares(weights: readonly number[] | undefined, members: number): number[] {
  const total = weights?.reduce((sum, weight) => sum + weight, 0) ?? 0;
  return Array.from({ length: members }, (_, at) => (total > 0 ? weights![at]! / total : 1 / members));
}
