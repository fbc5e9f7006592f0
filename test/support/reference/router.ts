import { scaled, sigmoid, softmax } from './linear';

/** Which experts a token goes to, with the weight of each. */
export interface Routing {
  readonly experts: readonly number[];
  readonly weights: readonly number[];
  /** How far the nearest decision was from going the other way, in units of the score that was compared. */
  readonly margin: number;
}

/** Turns the router logits of one token into a routing with k experts. */
export type Router = (logits: Float64Array, k: number) => Routing;

/** Softmax over all experts, best k, then optionally divided by a norm of the chosen and scaled. */
export function softmaxRouter(options: {
  /** p of the p-norm by which the chosen are divided: 1 is their sum, undefined is no division. */
  readonly normOrder?: number | undefined;
  readonly scale?: number;
  readonly groups?: { readonly count: number; readonly kept: number } | undefined;
}): Router {
  return (logits, k) => {
    const probabilities = softmax(logits);
    const limited =
      options.groups === undefined
        ? { scores: probabilities, margin: Infinity }
        : limitGroups(probabilities, options.groups, (group) => Math.max(...group), 0);
    const chosen = best(limited.scores, k);
    const weights = chosen.experts.map((expert) => limited.scores[expert]!);
    const divisor = options.normOrder === undefined ? 1 : norm(weights, options.normOrder);
    const scale = options.scale ?? 1;
    return {
      experts: chosen.experts,
      weights: weights.map((weight) => (weight / divisor) * scale),
      margin: Math.min(chosen.margin, limited.margin),
    };
  };
}

/** Best k logits, then softmax over those k (Granite, gpt-oss). */
export const topKSoftmaxRouter: Router = (logits, k) => {
  const { experts, margin } = best(logits, k);
  return { experts, margin, weights: [...softmax(experts.map((expert) => logits[expert]!))] };
};

/** Best k logits, then the sigmoid of each, not divided (Llama-4). */
export const topKSigmoidRouter: Router = (logits, k) => {
  const { experts, margin } = best(logits, k);
  return { experts, margin, weights: experts.map((expert) => sigmoid(logits[expert]!)) };
};

/** Scores choose experts after a bias is added; the weights come from the scores without it. */
export function biasedRouter(options: {
  readonly score: 'sigmoid' | 'softmax';
  readonly bias: Float64Array | undefined;
  /** Score of a group: the sum of its two best; the experts of other groups become −∞. */
  readonly groups?: { readonly count: number; readonly kept: number } | undefined;
  /** How the chosen weights are divided; none when undefined. */
  readonly divide?: { readonly by: 'sumPlus' | 'sumAtLeast'; readonly epsilon: number } | undefined;
  readonly scale?: number;
}): Router {
  return (logits, k) => {
    const scores = options.score === 'sigmoid' ? logits.map(sigmoid) : softmax(logits);
    const choice = scores.map((score, expert) => score + (options.bias === undefined ? 0 : options.bias[expert]!));
    const limited =
      options.groups === undefined
        ? { scores: choice, margin: Infinity }
        : limitGroups(choice, options.groups, sumOfTwoBest, -Infinity);
    const chosen = best(limited.scores, k);
    const weights = chosen.experts.map((expert) => scores[expert]!);
    const sum = weights.reduce((left, right) => left + right, 0);
    const divisor =
      options.divide === undefined
        ? 1
        : options.divide.by === 'sumPlus'
          ? sum + options.divide.epsilon
          : Math.max(sum, options.divide.epsilon);
    return {
      experts: chosen.experts,
      weights: [...scaled(Float64Array.from(weights), (options.scale ?? 1) / divisor)],
      margin: Math.min(chosen.margin, limited.margin),
    };
  };
}

/**
 * The sparse mixer of PhiMoE at inference: two rounds of arg-max, each weight a softmax over the logits that lie
 * within a relative distance of 2 · epsilon of the round's maximum. Always two experts, whatever k says.
 */
export function sparseMixerRouter(epsilon: number): Router {
  return (logits) => {
    const experts: number[] = [];
    const weights: number[] = [];
    let remaining = logits;
    let margin = best(logits, 2).margin;
    for (let round = 0; round < 2; round += 1) {
      const largest = Math.max(...remaining);
      const expert = remaining.indexOf(largest);
      const kept = remaining.map((value, index) => {
        const factor = Math.max(Math.abs(logits[index]!), largest);
        const distance = (largest - logits[index]!) / factor;
        margin = Math.min(margin, Math.abs(distance - 2 * epsilon));
        return distance > 2 * epsilon ? -Infinity : value;
      });
      experts.push(expert);
      weights.push(softmax(kept)[expert]!);
      remaining = remaining.map((value, index) => (index === expert ? -Infinity : value));
    }
    return { experts, weights, margin };
  };
}

/** The k largest, the lower index first among equals. */
function best(scores: Float64Array, k: number): { experts: number[]; margin: number } {
  const order = [...scores.keys()].sort((left, right) => scores[right]! - scores[left]! || left - right);
  const margin = k < order.length ? scores[order[k - 1]!]! - scores[order[k]!]! : Infinity;
  return { experts: order.slice(0, k), margin: Number.isNaN(margin) ? 0 : margin };
}

function limitGroups(
  scores: Float64Array,
  groups: { readonly count: number; readonly kept: number },
  scoreOf: (group: Float64Array) => number,
  replacement: number,
): { scores: Float64Array; margin: number } {
  const size = scores.length / groups.count;
  const groupScores = Float64Array.from({ length: groups.count }, (_, group) =>
    scoreOf(scores.slice(group * size, (group + 1) * size)),
  );
  const { experts: kept, margin } = best(groupScores, groups.kept);
  return {
    scores: scores.map((score, expert) => (kept.includes(Math.floor(expert / size)) ? score : replacement)),
    margin,
  };
}

function sumOfTwoBest(group: Float64Array): number {
  const [first, second] = best(group, 2).experts;
  return group[first!]! + group[second!]!;
}

function norm(values: readonly number[], order: number): number {
  return values.reduce((sum, value) => sum + Math.abs(value) ** order, 0) ** (1 / order);
}
