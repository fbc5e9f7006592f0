import { SeededRandom } from '../../engine/numeric/seededRandom';
import { expertSumNames, type ExpertSums, type LayerStatistics } from '../../engine/methods/statistics';
import type { MeasuredLayer } from '../../engine/methods/prune/method';

/** Contributions and what belongs to them of a made-up layer: what a calibration pass would see token by token. */
export interface TokenRecord {
  /** Gates by expert, 0 where it was not chosen. */
  readonly gates: readonly number[];
  /** Un-gated outputs by expert, `[experts][hidden]`. */
  readonly outputs: readonly (readonly number[])[];
}

/** Tokens with k random experts each; experts differ in how often they are chosen and how large their outputs are. */
export function randomTokens(seed: number, experts: number, active: number, tokens: number, hidden = 4): TokenRecord[] {
  const random = new SeededRandom(seed);
  const size = Array.from({ length: experts }, () => 0.2 + random.uniform());
  const appeal = Array.from({ length: experts }, () => random.uniform());
  return Array.from({ length: tokens }, () => {
    const wish = appeal.map((value) => value + random.uniform());
    const order = [...wish.keys()].sort((left, right) => wish[right]! - wish[left]!);
    const chosen = new Set(order.slice(0, active));
    const raw = Array.from({ length: experts }, (_, expert) => (chosen.has(expert) ? 0.1 + random.uniform() : 0));
    const total = raw.reduce((sum, value) => sum + value, 0);
    return {
      gates: raw.map((value) => value / total),
      outputs: size.map((scale) => Array.from({ length: hidden }, () => scale * (2 * random.uniform() - 1))),
    };
  });
}

/** Statistics of such tokens, summed the slow way straight from their definitions. */
export function statisticsOf(tokens: readonly TokenRecord[], active: number): LayerStatistics {
  const experts = tokens[0]!.gates.length;
  const hidden = tokens[0]!.outputs[0]!.length;
  const total = Object.fromEntries(expertSumNames.map((name) => [name, new Float64Array(experts)])) as Record<
    (typeof expertSumNames)[number],
    Float64Array
  >;
  const matrix = () => new Float64Array(experts * experts);
  const [coactivation, products, gram, logits, probabilities] = [matrix(), matrix(), matrix(), matrix(), matrix()];
  const largest = new Float64Array(experts);
  const outputSums = new Float32Array(experts * hidden);
  for (const { gates, outputs } of tokens) {
    const contribution = outputs.map((output, expert) => output.map((value) => value * gates[expert]!));
    for (let i = 0; i < experts; i += 1) {
      if (gates[i] === 0) {
        continue;
      }
      const norm = Math.hypot(...outputs[i]!);
      total.counts[i]! += 1;
      total.gates[i]! += gates[i]!;
      total.gateSquares[i]! += gates[i]! ** 2;
      total.outputNorms[i]! += norm;
      total.outputNormSquares[i]! += norm ** 2;
      total.contributionNorms[i]! += gates[i]! * norm;
      total.contributionNormSquares[i]! += (gates[i]! * norm) ** 2;
      total.replacementSquares[i]! += (gates[i]! * norm * 0.5) ** 2;
      total.shiftedContributionNorms[i]! += gates[i]! * norm * 0.1;
      total.topMargins[i]! += Math.max(...gates) === gates[i] ? gates[i]! : 0;
      total.probabilities[i]! += gates[i]!;
      outputs[i]!.forEach((value, at) => (outputSums[i * hidden + at]! += value));
      largest[i] = Math.max(largest[i]!, ...outputs[i]!.map(Math.abs));
      for (let j = 0; j < experts; j += 1) {
        if (gates[j] !== 0) {
          coactivation[i * experts + j]! += 1;
          products[i * experts + j]! += Math.hypot(...contribution[i]!) * Math.hypot(...contribution[j]!);
          gram[i * experts + j]! += contribution[i]!.reduce((sum, value, at) => sum + value * contribution[j]![at]!, 0);
        }
      }
    }
  }
  const sums: ExpertSums = { tokens: tokens.length, ...total };
  return {
    index: 3,
    experts,
    activeExperts: active,
    hiddenSize: hidden,
    total: sums,
    byTag: [{ ...sums, tag: 'all' }],
    largestOutputs: largest,
    outputSums,
    coactivation,
    contributionProducts: products,
    contributionGram: gram,
    logitProducts: logits,
    probabilityProducts: probabilities,
    topMasses: new Float64Array(active),
    outputSquares: 0,
    sample: { inputs: new Float32Array(0), tokens: 0, tags: new Uint16Array(0) },
  };
}

export function measured(statistics: LayerStatistics): MeasuredLayer {
  const { index, experts, total } = statistics;
  return { index, experts, statistics, sums: total, pairs: statistics, allTexts: true };
}

/** The same tokens with the experts renamed: new expert i is old expert order[i]. */
export function permuted(tokens: readonly TokenRecord[], order: readonly number[]): TokenRecord[] {
  return tokens.map(({ gates, outputs }) => ({
    gates: order.map((old) => gates[old]!),
    outputs: order.map((old) => outputs[old]!),
  }));
}

/** All subsets of 0 … size - 1 with `count` members, ascending. */
export function subsets(size: number, count: number): number[][] {
  if (count === 0) {
    return [[]];
  }
  if (size < count) {
    return [];
  }
  return [...subsets(size - 1, count), ...subsets(size - 1, count - 1).map((set) => [...set, size - 1])];
}

export function free(count: number): { count: number; pinned: Set<number>; groups: number } {
  return { count, pinned: new Set(), groups: 1 };
}
