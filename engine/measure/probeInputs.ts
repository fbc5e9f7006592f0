import { fillStandardNormal } from '../numeric/standardNormal';
import { SeededRandom, streamSeed } from '../numeric/seededRandom';

/** Inputs of a MoE block in batches of equal size; each is `[tokens, hidden]`. */
export interface ProbeBatches {
  readonly count: number;
  batch(index: number): Float32Array;
  /** All batches one after the other, where every layer gets the same values and they are kept. */
  whole?(): Float32Array | undefined;
}

/** Bytes of probe inputs that are kept for the next layer instead of being drawn again. */
const keptProbeBytes = 2 ** 28;

/** The same where a GPU measures: drawing would take longer than the layer. */
export const keptDeviceProbeBytes = 2 ** 31;

/**
 * X ~ N(0, 1) as LExI draws it (arXiv 2509.02753, §3.1). All layers see the same draws: each layer's estimate stays
 * unbiased, and differences between layers are not blurred by different draws.
 */
export class GaussianProbes implements ProbeBatches {
  /** All batches one after the other, where they are kept. */
  private readonly kept: Float32Array | undefined;
  private readonly drawn = new Set<number>();

  constructor(
    readonly count: number,
    private readonly tokensPerBatch: number,
    private readonly hiddenSize: number,
    private readonly seed: number,
    keptBytes = keptProbeBytes,
  ) {
    const values = count * tokensPerBatch * hiddenSize;
    this.kept = 4 * values <= keptBytes ? new Float32Array(values) : undefined;
  }

  batch(index: number): Float32Array {
    const size = this.tokensPerBatch * this.hiddenSize;
    const values = this.kept?.subarray(index * size, (index + 1) * size) ?? new Float32Array(size);
    if (this.kept === undefined || !this.drawn.has(index)) {
      fillStandardNormal(values, new SeededRandom(streamSeed(this.seed, index)));
      this.drawn.add(index);
    }
    return values;
  }

  whole(): Float32Array | undefined {
    for (let index = 0; this.kept !== undefined && index < this.count; index += 1) {
      this.batch(index);
    }
    return this.kept;
  }
}

/** Gaussian probes times the layer's RMS-norm weight: the directions a trained layer really sees most. */
export class ScaledProbes implements ProbeBatches {
  readonly count: number;

  constructor(
    private readonly probes: ProbeBatches,
    private readonly scale: Float32Array,
  ) {
    this.count = probes.count;
  }

  batch(index: number): Float32Array {
    return this.probes.batch(index).map((value, at) => value * this.scale[at % this.scale.length]!);
  }
}
