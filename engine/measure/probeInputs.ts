import { fillStandardNormal } from '../numeric/standardNormal';
import { SeededRandom, streamSeed } from '../numeric/seededRandom';

/** Inputs of a MoE block in batches of equal size; each is `[tokens, hidden]`. */
export interface ProbeBatches {
  readonly count: number;
  batch(index: number): Float32Array;
}

/** Bytes of probe inputs that are kept for the next layer instead of being drawn again. */
const keptProbeBytes = 2 ** 28;

/**
 * X ~ N(0, 1) as LExI draws it (arXiv 2509.02753, §3.1). All layers see the same draws: each layer's estimate stays
 * unbiased, and differences between layers are not blurred by different draws.
 */
export class GaussianProbes implements ProbeBatches {
  private readonly kept = new Map<number, Float32Array>();

  constructor(
    readonly count: number,
    private readonly tokensPerBatch: number,
    private readonly hiddenSize: number,
    private readonly seed: number,
  ) {}

  batch(index: number): Float32Array {
    const known = this.kept.get(index);
    if (known !== undefined) {
      return known;
    }
    const values = new Float32Array(this.tokensPerBatch * this.hiddenSize);
    fillStandardNormal(values, new SeededRandom(streamSeed(this.seed, index)));
    if (this.count * values.byteLength <= keptProbeBytes) {
      this.kept.set(index, values);
    }
    return values;
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
