import {
  expertSumNames,
  pairSumNames,
  type ExpertSums,
  type PairSums,
  type TaggedSums,
} from '../../methods/statistics';

/** What one run of the calibration graph gave for some tokens; names and shapes as in `graph/calibrationGraph.ts`. */
export interface CalibrationRows {
  readonly tokens: number;
  /** Tag of every token. */
  readonly tags: Uint16Array;
  /** `[tokens, ranks]`; only the first k ranks are chosen. */
  readonly experts: BigInt64Array;
  readonly gates: Float32Array;
  readonly logits: Float32Array;
  readonly probabilities: Float32Array;
  readonly logitProducts: Float32Array;
  readonly probabilityProducts: Float32Array;
  readonly outputSquares: Float32Array;
  readonly largest: Float32Array;
  readonly gram: Float32Array;
  readonly replacement: Float32Array;
  readonly removal: Float32Array;
  readonly outputSums: Float32Array;
  readonly blockSquares: Float32Array;
  readonly shift: Float32Array;
}

type Vectors = Record<(typeof expertSumNames)[number], Float64Array>;

/** Sizes of one MoE layer that arrays depend on. */
export interface LayerShape {
  readonly experts: number;
  readonly activeExperts: number;
  readonly hiddenSize: number;
}

/** Adds up one layer, run by run, in float64: the order of the runs changes nothing beyond the last bits of a double. */
export class LayerAccumulator {
  readonly largestOutputs: Float64Array;
  readonly outputSums: Float64Array;
  /** Over all tags. */
  readonly pairs: PairSums;
  /** In the order of the tags, where they are kept. */
  readonly pairsByTag: readonly PairSums[] | undefined;
  readonly logitProducts: Float64Array;
  readonly probabilityProducts: Float64Array;
  readonly topMasses: Float64Array;
  outputSquares = 0;
  private readonly vectors: Vectors[];
  private readonly tokens: number[];

  constructor(
    private readonly shape: LayerShape,
    private readonly tagNames: readonly string[],
    keepTaskPairs = false,
  ) {
    const { experts, activeExperts, hiddenSize } = shape;
    const matrix = () => new Float64Array(experts * experts);
    this.largestOutputs = new Float64Array(experts);
    this.outputSums = new Float64Array(experts * hiddenSize);
    this.pairs = emptyPairs(experts);
    this.pairsByTag = keepTaskPairs ? tagNames.map(() => emptyPairs(experts)) : undefined;
    this.logitProducts = matrix();
    this.probabilityProducts = matrix();
    this.topMasses = new Float64Array(activeExperts);
    this.vectors = tagNames.map(() => emptyVectors(experts));
    this.tokens = tagNames.map(() => 0);
  }

  add(rows: CalibrationRows): void {
    for (let token = 0; token < rows.tokens; token += 1) {
      const tag = rows.tags[token]!;
      this.tokens[tag]! += 1;
      this.addScores(rows, token, this.vectors[tag]!);
      this.addChosen(rows, token, this.vectors[tag]!);
      addPairs(
        this.shape,
        rows,
        token,
        this.pairsByTag === undefined ? [this.pairs] : [this.pairs, this.pairsByTag[tag]!],
      );
      this.outputSquares += rows.blockSquares[token]!;
    }
    addTo(this.outputSums, rows.outputSums);
    addTo(this.logitProducts, rows.logitProducts);
    addTo(this.probabilityProducts, rows.probabilityProducts);
  }

  /** Sums per tag, in the order of the tags. */
  byTag(): TaggedSums[] {
    return this.tagNames.map((tag, at) => ({ tag, tokens: this.tokens[at]!, ...this.vectors[at]! }));
  }

  /** What every expert gets, chosen or not. */
  private addScores({ logits, probabilities }: CalibrationRows, token: number, into: Vectors): void {
    const { experts } = this.shape;
    const start = token * experts;
    let best = 0;
    for (let expert = 0; expert < experts; expert += 1) {
      into.probabilities[expert]! += probabilities[start + expert]!;
      best = logits[start + expert]! > logits[start + best]! ? expert : best;
    }
    const top = logits[start + best]!;
    into.topCounts[best]! += 1;
    into.topLogits[best]! += top;
    into.topMargins[best]! += top - meanOf(logits, start, experts);
  }

  /** What the chosen experts get. */
  private addChosen(rows: CalibrationRows, token: number, into: Vectors): void {
    const { experts, activeExperts: k } = this.shape;
    const ranks = rows.experts.length / rows.tokens;
    const meanLogit = meanOf(rows.logits, token * experts, experts);
    const shift = Math.max(0, rows.shift[token]!);
    let mass = 0;
    for (let rank = 0; rank < k; rank += 1) {
      const expert = Number(rows.experts[token * ranks + rank]!);
      const slot = token * k + rank;
      const gate = rows.gates[slot]!;
      const square = rows.outputSquares[slot]!;
      const contribution = rows.gram[slot * k + rank]!;
      const logit = rows.logits[token * experts + expert]!;
      into.counts[expert]! += 1;
      into.gates[expert]! += gate;
      into.gateSquares[expert]! += gate * gate;
      into.outputNorms[expert]! += Math.sqrt(square);
      into.outputNormSquares[expert]! += square;
      into.contributionNorms[expert]! += Math.sqrt(contribution);
      into.contributionNormSquares[expert]! += contribution;
      into.replacementSquares[expert]! += rows.replacement[slot]!;
      into.removalSquares[expert]! += rows.removal[slot]!;
      into.shiftedContributionNorms[expert]! += Math.sqrt(contribution) * shift;
      into.chosenLogits[expert]! += logit;
      into.chosenMargins[expert]! += logit - meanLogit;
      this.largestOutputs[expert] = Math.max(this.largestOutputs[expert]!, rows.largest[slot]!);
      mass += rows.probabilities[token * experts + expert]!;
      this.topMasses[rank]! += mass;
    }
  }
}

/** What pairs of chosen experts get; both halves of the matrices are filled. */
function addPairs(
  { experts, activeExperts: k }: LayerShape,
  rows: CalibrationRows,
  token: number,
  into: readonly PairSums[],
): void {
  const ranks = rows.experts.length / rows.tokens;
  const gram = token * k * k;
  for (let left = 0; left < k; left += 1) {
    const i = Number(rows.experts[token * ranks + left]!);
    const leftNorm = Math.sqrt(rows.gram[gram + left * k + left]!);
    for (let right = left; right < k; right += 1) {
      const j = Number(rows.experts[token * ranks + right]!);
      const norms = leftNorm * Math.sqrt(rows.gram[gram + right * k + right]!);
      const product = rows.gram[gram + left * k + right]!;
      for (const at of i === j ? [i * experts + j] : [i * experts + j, j * experts + i]) {
        for (const sums of into) {
          sums.coactivation[at]! += 1;
          sums.contributionProducts[at]! += norms;
          sums.contributionGram[at]! += product;
        }
      }
    }
  }
}

function emptyPairs(experts: number): PairSums {
  return Object.fromEntries(pairSumNames.map((name) => [name, new Float64Array(experts * experts)])) as Record<
    (typeof pairSumNames)[number],
    Float64Array
  >;
}

function emptyVectors(experts: number): Vectors {
  return Object.fromEntries(expertSumNames.map((name) => [name, new Float64Array(experts)])) as Vectors;
}

/** Sums over all tags, in their order. */
export function totalSums(byTag: readonly ExpertSums[], experts: number): ExpertSums {
  const vectors = emptyVectors(experts);
  for (const sums of byTag) {
    for (const name of expertSumNames) {
      addTo(vectors[name], sums[name]);
    }
  }
  return { tokens: byTag.reduce((sum, { tokens }) => sum + tokens, 0), ...vectors };
}

function addTo(into: Float64Array, values: ArrayLike<number>): void {
  for (let at = 0; at < into.length; at += 1) {
    into[at]! += values[at]!;
  }
}

function meanOf(values: Float32Array, start: number, count: number): number {
  let sum = 0;
  for (let at = start; at < start + count; at += 1) {
    sum += values[at]!;
  }
  return sum / count;
}
