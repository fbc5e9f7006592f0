import type { SeededRandom } from './seededRandom';

/**
 * Standard normal numbers by the ziggurat of 256 strips (Marsaglia and Tsang, "The Ziggurat Method for Generating Random
 * Variables", J. Statistical Software 5(8), 2000). One 32-bit draw gives the strip (lowest 8 bits) and the signed position inside
 * it; the 24 bits above the strip number fill a float32 mantissa, so strip and value do not share visible bits.
 */
const strips = 256;
/** Start of the tail, and the area of each strip, for 256 strips (constants of the paper). */
const tailStart = 3.6541528853610088;
const stripArea = 0.00492867323399;

/** Strip i: draws with |position| below `inside[i]` are accepted at once; `scale[i]` turns a position into a value. */
const inside = new Int32Array(strips);
const scale = new Float64Array(strips);
/** Density exp(-x^2/2) at the outer edge of strip i. */
const density = new Float64Array(strips);

function buildTables(): void {
  const positions = 2147483648;
  let edge = tailStart;
  let outer = edge;
  const base = stripArea / Math.exp(-0.5 * edge * edge);
  inside[0] = (edge / base) * positions;
  inside[1] = 0;
  scale[0] = base / positions;
  scale[strips - 1] = edge / positions;
  density[0] = 1;
  density[strips - 1] = Math.exp(-0.5 * edge * edge);
  for (let strip = strips - 2; strip >= 1; strip--) {
    edge = Math.sqrt(-2 * Math.log(stripArea / edge + Math.exp(-0.5 * edge * edge)));
    inside[strip + 1] = (edge / outer) * positions;
    outer = edge;
    density[strip] = Math.exp(-0.5 * edge * edge);
    scale[strip] = edge / positions;
  }
}
buildTables();

/** The rare draw (about 1.5 %) outside the accepted core of its strip: tail, wedge, or draw again. */
function edgeDraw(first: number, random: SeededRandom): number {
  let position = first;
  for (;;) {
    const strip = position & 255;
    if (strip === 0) {
      let beyond: number;
      let height: number;
      do {
        beyond = -Math.log(1 - random.uniform()) / tailStart;
        height = -Math.log(1 - random.uniform());
      } while (height + height < beyond * beyond);
      return position > 0 ? tailStart + beyond : -tailStart - beyond;
    }
    const value = position * scale[strip]!;
    const above = density[strip]!;
    const below = density[strip - 1]!;
    if (above + random.uniform() * (below - above) < Math.exp(-0.5 * value * value)) {
      return value;
    }
    position = random.nextUint32() | 0;
    if (Math.abs(position) < inside[position & 255]!) {
      return position * scale[position & 255]!;
    }
  }
}

/**
 * Fills `target` with independent N(0, 1) numbers, advancing `random`. The same seed gives the same numbers however the array is
 * cut into pieces.
 */
export function fillStandardNormal(target: Float32Array, random: SeededRandom): void {
  // The generator of SeededRandom.nextUint32 unrolled over local variables: twice as fast as calling it.
  let state0 = random.state0;
  let state1 = random.state1;
  let state2 = random.state2;
  let state3 = random.state3;
  for (let index = 0; index < target.length; index++) {
    const multiplied = Math.imul(state1, 5);
    const position = Math.imul((multiplied << 7) | (multiplied >>> 25), 9);
    const shifted = state1 << 9;
    state2 ^= state0;
    state3 ^= state1;
    state1 ^= state2;
    state0 ^= state3;
    state2 ^= shifted;
    state3 = (state3 << 11) | (state3 >>> 21);
    const strip = position & 255;
    if (Math.abs(position) < inside[strip]!) {
      target[index] = position * scale[strip]!;
      continue;
    }
    random.state0 = state0;
    random.state1 = state1;
    random.state2 = state2;
    random.state3 = state3;
    target[index] = edgeDraw(position, random);
    state0 = random.state0;
    state1 = random.state1;
    state2 = random.state2;
    state3 = random.state3;
  }
  random.state0 = state0;
  random.state1 = state1;
  random.state2 = state2;
  random.state3 = state3;
}
