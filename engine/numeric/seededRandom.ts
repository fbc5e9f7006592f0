/**
 * Seeded generator xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47, 2021):
 * 128 bits of state, period 2^128 - 1, seeded through SplitMix32 so that neighbouring seeds give unrelated streams.
 * Same seed, same numbers on every machine. Not for secrets.
 *
 * The state words are public so that fillers of whole arrays can keep them in local variables.
 */
export class SeededRandom {
  state0: number;
  state1: number;
  state2: number;
  state3: number;

  /** @param seed any integer (negative ones too); its lowest 53 bits matter. */
  constructor(seed: number) {
    const low = seed | 0;
    const high = Math.floor(seed / 4294967296) | 0;
    let counter = low ^ Math.imul(high, 0x9e3779b1);
    const next = (): number => {
      counter = (counter + 0x9e3779b9) | 0;
      let mixed = Math.imul(counter ^ (counter >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.state0 = next();
    this.state1 = next();
    this.state2 = next();
    // Four consecutive SplitMix32 outputs are distinct, so the forbidden all-zero state cannot occur.
    this.state3 = next();
  }

  /** The next 32 random bits as an unsigned integer. */
  nextUint32(): number {
    const multiplied = Math.imul(this.state1, 5);
    const result = Math.imul((multiplied << 7) | (multiplied >>> 25), 9) >>> 0;
    const shifted = this.state1 << 9;
    this.state2 ^= this.state0;
    this.state3 ^= this.state1;
    this.state1 ^= this.state2;
    this.state0 ^= this.state3;
    this.state2 ^= shifted;
    this.state3 = (this.state3 << 11) | (this.state3 >>> 21);
    return result;
  }

  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** Uniform integer in [0, bound); bound between 1 and 2^32. Unbiased: values in the incomplete last stretch are redrawn. */
  integerBelow(bound: number): number {
    const limit = 4294967296 - (4294967296 % bound);
    let value = this.nextUint32();
    while (value >= limit) {
      value = this.nextUint32();
    }
    return value % bound;
  }

  /** Fisher-Yates shuffle in place; returns the same array. */
  shuffle<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.integerBelow(last + 1);
      const kept = items[last]!;
      items[last] = items[other]!;
      items[other] = kept;
    }
    return items;
  }
}

/** Mixes a seed with a stream number (a layer, a batch), so that streams do not depend on the order in which they are drawn. */
export function streamSeed(seed: number, stream: number): number {
  let mixed = Math.imul(seed ^ 0x85ebca6b, 0xc2b2ae35) ^ Math.imul(stream + 1, 0x27d4eb2f);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
