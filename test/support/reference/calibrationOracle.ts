import { isMoeBlock, type DecoderLayer, type DecoderModel } from './decoder';
import { applyGatedNetwork, type GatedNetwork } from './experts';
import { addScaled, applyLinear, scaled, sigmoid, softmax } from './linear';
import type { MoeBlock } from './moeBlock';
import type { Routing } from './router';

/** What the slow reference finds for one chosen expert of one token. */
export interface ChosenExpert {
  readonly expert: number;
  readonly gate: number;
  /** Un-gated output f, and what it adds to the routed sum. */
  readonly output: Float64Array;
  readonly contribution: Float64Array;
  /** Norm of the change of the routed sum without the expert: with the next expert in its place, and with nobody. */
  readonly replacement: number;
  readonly removal: number;
}

export interface TokenObservation {
  readonly input: Float64Array;
  readonly logits: Float64Array;
  readonly chosen: readonly ChosenExpert[];
  /** Output of the block without what the layer adds beside it. */
  readonly blockOutput: Float64Array;
  /** The narrowest decision behind the changes: a float32 run need not agree where it is tiny. */
  readonly changeMargin: number;
  /** Residual stream before and after the block. */
  readonly before: Float64Array;
  readonly after: Float64Array;
}

/** How the chosen experts' scores become gates: the family's rule, as data. */
export type GateRule =
  | { readonly kind: 'score' }
  | { readonly kind: 'sum'; readonly epsilon: number }
  | { readonly kind: 'clamped-sum'; readonly minimum: number }
  | { readonly kind: 'p-norm'; readonly p: number }
  | { readonly kind: 'softmax-chosen' }
  | { readonly kind: 'sigmoid-chosen'; readonly divided: boolean };

export interface OracleOptions {
  readonly activeExperts: number;
  /** Experts a token can choose from. */
  readonly candidates: number;
  /** Whether removing an expert means asking the router again without it (sparse mixer), not only dividing gates anew. */
  readonly reroutes: boolean;
  readonly score: 'softmax' | 'sigmoid' | 'logits' | 'sqrt-softplus';
  readonly gates: GateRule;
  readonly scale: number;
}

/** Every token of one sequence in every MoE layer, by decoder layer: double precision, no code shared with the engine. */
export function observeSequence(
  model: DecoderModel,
  ids: readonly number[],
  optionsOf: (layer: number) => OracleOptions,
): Map<number, TokenObservation[]> {
  const observations = new Map<number, TokenObservation[]>();
  let stream = ids.map(model.embed);
  model.layers.forEach((layer, index) => {
    const identity = (vector: Float64Array) => vector;
    const multiplier = layer.residualMultiplier ?? 1;
    const mixed = layer.mixer(stream.map(layer.mixerNorm ?? identity)).map(layer.mixerOutputNorm ?? identity);
    stream = stream.map((vector, position) => addScaled(vector, mixed[position]!, multiplier));
    stream = stream.map((before) => {
      const input = (layer.feedForwardNorm ?? identity)(before);
      const observed = isMoeBlock(layer.feedForward)
        ? observeBlock(layer.feedForward, input, optionsOf(index))
        : undefined;
      const inner = observed?.blockOutput ?? applyGatedNetwork(layer.feedForward as GatedNetwork, input);
      const branch = (layer.feedForwardOutputNorm ?? identity)(withBeside(layer, input, inner));
      const after = addScaled(before, branch, multiplier);
      if (observed !== undefined) {
        observations.set(index, [...(observations.get(index) ?? []), { ...observed, input, before, after }]);
      }
      return after;
    });
  });
  return observations;
}

function withBeside(layer: DecoderLayer, input: Float64Array, output: Float64Array): Float64Array {
  return layer.besideFeedForward === undefined
    ? output
    : addScaled(output, applyGatedNetwork(layer.besideFeedForward, input));
}

function observeBlock(block: MoeBlock, input: Float64Array, options: OracleOptions) {
  const k = options.activeExperts;
  const logits = applyLinear(block.gate, input);
  const { experts, weights } = block.router(logits, k);
  const onInput = block.weightsApplyTo === 'input';
  const outputOf = (expert: number, gate: number) =>
    applyGatedNetwork(block.experts[expert]!, onInput ? scaled(input, gate) : input);
  const contributionOf = (expert: number, gate: number) =>
    onInput ? outputOf(expert, gate) : scaled(outputOf(expert, gate), gate);
  const sumOf = (ids: readonly number[], gates: readonly number[]) =>
    ids.reduce<Float64Array>(
      (sum, expert, at) => addScaled(sum, contributionOf(expert, gates[at]!)),
      new Float64Array(input.length),
    );
  const routed = sumOf(experts, weights);
  const rerouted = options.reroutes ? rerouting(block, logits, k) : regating(block, logits, options);
  let changeMargin = Infinity;
  const without = (removed: number, refill: boolean): number => {
    const next = rerouted(experts, removed, refill);
    changeMargin = Math.min(changeMargin, next.margin);
    return distance(sumOf(next.experts, next.weights), routed);
  };
  const chosen = experts.map((expert, at): ChosenExpert => {
    const gate = weights[at]!;
    return {
      expert,
      gate,
      output: outputOf(expert, gate),
      contribution: contributionOf(expert, gate),
      replacement: without(expert, true),
      removal: without(expert, false),
    };
  });
  const shared =
    block.shared === undefined
      ? undefined
      : scaled(
          applyGatedNetwork(block.shared, input),
          block.sharedGate === undefined ? 1 : sigmoid(applyLinear(block.sharedGate, input)[0]!),
        );
  return { logits, chosen, changeMargin, blockOutput: shared === undefined ? routed : addScaled(routed, shared) };
}

/** The routing of a token when one chosen expert is gone. */
type Rerouted = (experts: readonly number[], removed: number, refill: boolean) => Routing;

/** Asks the router again: with the removed expert's logit at -∞, and without a refill with only the chosen ones left. */
function rerouting(block: MoeBlock, logits: Float64Array, k: number): Rerouted {
  return (experts, removed, refill) => {
    const left = logits.map((value, expert) =>
      expert !== removed && (refill || experts.includes(expert)) ? value : -Infinity,
    );
    const again = block.router(left, k);
    const kept = refill ? k : k - 1;
    return { experts: again.experts.slice(0, kept), weights: again.weights.slice(0, kept), margin: again.margin };
  };
}

/** Takes the next ranked expert, or none, and makes gates of the scores of those that are left. */
function regating(block: MoeBlock, logits: Float64Array, options: OracleOptions): Rerouted {
  const { activeExperts: k, candidates } = options;
  const wider = candidates > k ? block.router(logits, k + 1) : undefined;
  const same = block.router(logits, k);
  const check = gatesOf(same.experts, logits, options);
  if (check.some((gate, at) => Math.abs(gate - same.weights[at]!) > 1e-12)) {
    throw new Error('the gate rule of the oracle is not that of the reference router');
  }
  return (experts, removed, refill) => {
    const source = refill && wider !== undefined ? wider : { experts, margin: Infinity };
    const kept = source.experts.filter((expert) => expert !== removed);
    return { experts: kept, weights: gatesOf(kept, logits, options), margin: source.margin };
  };
}

/** Gates of a set of experts when they are the chosen ones. */
function gatesOf(experts: readonly number[], logits: Float64Array, { score, gates, scale }: OracleOptions): number[] {
  const own = experts.map((expert) => logits[expert]!);
  const all = score === 'softmax' ? softmax(logits) : score === 'sigmoid' ? logits.map(sigmoid) : logits;
  const scores = experts.map((expert) => all[expert]!);
  const sum = (values: readonly number[]) => values.reduce((left, right) => left + right, 0);
  const divisor = (): number => {
    switch (gates.kind) {
      case 'sum':
        return sum(scores) + gates.epsilon;
      case 'clamped-sum':
        return Math.max(sum(scores), gates.minimum);
      case 'p-norm':
        return sum(scores.map((value) => Math.abs(value) ** gates.p)) ** (1 / gates.p);
      case 'sigmoid-chosen':
        return gates.divided ? sum(own.map(sigmoid)) : 1;
      case 'score':
      case 'softmax-chosen':
        return 1;
    }
  };
  const base =
    gates.kind === 'softmax-chosen'
      ? [...softmax(Float64Array.from(own))]
      : gates.kind === 'sigmoid-chosen'
        ? own.map(sigmoid)
        : scores;
  return base.map((value) => (value / divisor()) * scale);
}

function distance(left: Float64Array, right: Float64Array): number {
  return Math.sqrt(left.reduce((sum, value, at) => sum + (value - right[at]!) ** 2, 0));
}

/** How a router spreads one unit over all experts: softmax of logits, or sigmoid scores divided by their sum. */
export function probabilitiesOf(logits: Float64Array, score: 'softmax' | 'sigmoid'): Float64Array {
  if (score === 'softmax') {
    return softmax(logits);
  }
  const scores = logits.map(sigmoid);
  return scaled(scores, 1 / scores.reduce((sum, value) => sum + value, 0));
}
