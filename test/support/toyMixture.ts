import { SeededRandom } from '../../engine/numeric/seededRandom';
import { fillStandardNormal } from '../../engine/numeric/standardNormal';

export interface ToyShape {
  readonly layers: number;
  readonly experts: number;
  readonly activeExperts: number;
  readonly hidden: number;
  readonly tokens: number;
}

/**
 * A small residual network of MoE blocks with random weights and a random vocabulary: x += block(norm(x)), softmax router, top-k
 * renormalised. Its KL divergence from itself at full k is a loss of allocations that does not add up over layers, as in a real
 * model, and it can resume from the hidden states before any layer.
 */
export class ToyMixture {
  private readonly router: Float32Array[] = [];
  private readonly up: Float32Array[] = [];
  private readonly down: Float32Array[] = [];
  private readonly head: Float32Array;
  private readonly input: Float32Array;
  private readonly reference: Float64Array;
  private readonly vocabulary = 24;
  /** Hidden states before each layer of the allocation they were computed with. */
  private kept: { activeExperts: readonly number[]; states: Float32Array[] } | undefined;
  /** Layers computed so far. */
  layerRuns = 0;

  constructor(
    readonly shape: ToyShape,
    seed: number,
  ) {
    const random = new SeededRandom(seed);
    const normal = (length: number, scale: number): Float32Array => {
      const values = new Float32Array(length);
      fillStandardNormal(values, random);
      return values.map((value) => value * scale);
    };
    const { layers, experts, hidden, tokens } = shape;
    for (let layer = 0; layer < layers; layer++) {
      const strength = Math.exp(1.2 * (random.uniform() - 0.5));
      this.router.push(normal(experts * hidden, 0.4 + 1.2 * random.uniform()));
      this.up.push(normal(experts * hidden * hidden, 1 / Math.sqrt(hidden)));
      this.down.push(normal(experts * hidden * hidden, strength / Math.sqrt(hidden)));
    }
    this.head = normal(this.vocabulary * hidden, 1 / Math.sqrt(hidden));
    this.input = normal(tokens * hidden, 1);
    this.reference = this.logProbabilities(this.run(this.full(), 0));
  }

  full(): number[] {
    return new Array<number>(this.shape.layers).fill(this.shape.activeExperts);
  }

  /** Mean KL(full model || model at this allocation), from layer 0. */
  loss(activeExperts: readonly number[]): number {
    return this.divergence(this.run(activeExperts, 0));
  }

  /** The same, resuming from the states of `base` before its layer `first`, which are computed once and kept. */
  lossFrom(activeExperts: readonly number[], base: readonly number[], first: number): number {
    if (this.kept?.activeExperts.join() !== base.join()) {
      const states: Float32Array[] = [];
      this.run(base, 0, states);
      this.kept = { activeExperts: [...base], states };
    }
    return this.divergence(this.run(activeExperts, first, undefined, this.kept.states[first]));
  }

  /** KL by layer and k-1 when one layer alone runs at k. */
  endToEndTable(): number[][] {
    return Array.from({ length: this.shape.layers }, (_, layer) =>
      Array.from({ length: this.shape.activeExperts }, (_unused, position) => {
        const allocation = this.full();
        allocation[layer] = position + 1;
        return this.loss(allocation);
      }),
    );
  }

  private run(
    activeExperts: readonly number[],
    first: number,
    states?: Float32Array[],
    start = this.input,
  ): Float32Array {
    const stream = start.slice();
    for (let layer = first; layer < this.shape.layers; layer++) {
      states?.push(stream.slice());
      this.layerRuns++;
      for (let token = 0; token < this.shape.tokens; token++) {
        this.block(
          stream.subarray(token * this.shape.hidden, (token + 1) * this.shape.hidden),
          layer,
          activeExperts[layer] ?? 0,
        );
      }
    }
    states?.push(stream.slice());
    return stream;
  }

  private block(x: Float32Array, layer: number, k: number): void {
    const { hidden, experts } = this.shape;
    const norm = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / hidden);
    const normed = x.map((value) => value / norm);
    const scores = Array.from({ length: experts }, (_, expert) =>
      Math.exp(dot(this.router[layer]!, expert * hidden, normed)),
    );
    const chosen = scores
      .map((_, expert) => expert)
      .sort((a, b) => scores[b]! - scores[a]! || a - b)
      .slice(0, k);
    const mass = chosen.reduce((sum, expert) => sum + scores[expert]!, 0);
    for (const expert of chosen) {
      const inner = new Float32Array(hidden);
      for (let row = 0; row < hidden; row++) {
        const value = dot(this.up[layer]!, (expert * hidden + row) * hidden, normed);
        inner[row] = value / (1 + Math.exp(-value));
      }
      for (let row = 0; row < hidden; row++) {
        x[row]! += (scores[expert]! / mass) * dot(this.down[layer]!, (expert * hidden + row) * hidden, inner);
      }
    }
  }

  private logProbabilities(stream: Float32Array): Float64Array {
    const { hidden, tokens } = this.shape;
    const all = new Float64Array(tokens * this.vocabulary);
    for (let token = 0; token < tokens; token++) {
      const x = stream.subarray(token * hidden, (token + 1) * hidden);
      const norm = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / hidden);
      const logits = Array.from(
        { length: this.vocabulary },
        (_, word) => (2 * dot(this.head, word * hidden, x)) / norm,
      );
      const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
      logits.forEach((logit, word) => (all[token * this.vocabulary + word] = logit - total));
    }
    return all;
  }

  private divergence(stream: Float32Array): number {
    const log = this.logProbabilities(stream);
    return this.reference.reduce((sum, full, at) => sum + Math.exp(full) * (full - log[at]!), 0) / this.shape.tokens;
  }
}

function dot(matrix: Float32Array, offset: number, vector: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < vector.length; at++) {
    sum += matrix[offset + at]! * vector[at]!;
  }
  return sum;
}
