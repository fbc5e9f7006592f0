import type { SeededRandom } from '../numeric/seededRandom';

/** A token that was chosen, and the probability that the model gave it (at temperature 1). */
export interface TokenChoice {
  readonly id: number;
  readonly probability: number;
}

/**
 * Chooses the next token from logits. At temperature 0 it is the first of the most likely ones; else it is drawn from
 * softmax(logits / temperature) by one random number against the cumulative distribution in the order of ids, so that two models
 * with the same numbers mostly draw the same token where they mostly agree.
 * @param logits `[vocabulary]`
 */
export function chooseToken(logits: Float32Array, temperature: number, random: SeededRandom): TokenChoice {
  const best = logits.reduce((at, value, id) => (value > logits[at]! ? id : at), 0);
  const shares = weights(logits, logits[best]!, 1);
  const id = temperature === 0 ? best : draw(weights(logits, logits[best]!, temperature), random.uniform());
  return { id, probability: shares[id]! / sum(shares) };
}

/** exp((logit − largest) / temperature), in float64. */
function weights(logits: Float32Array, largest: number, temperature: number): Float64Array {
  return Float64Array.from(logits, (value) => Math.exp((value - largest) / temperature));
}

/** The first id up to which more than `share` of all weight lies. */
function draw(values: Float64Array, share: number): number {
  const wanted = share * sum(values);
  let passed = 0;
  for (const [id, value] of values.entries()) {
    passed += value;
    if (passed > wanted) {
      return id;
    }
  }
  return values.findLastIndex((value) => value > 0);
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
