import {
  addDoubles,
  advance,
  and,
  doubles,
  extendHigh16,
  extendLow16,
  get,
  laneOf16,
  laneOf64,
  load,
  loadDoubleSplat,
  max16,
  moduleBytes,
  multiplyDoubles,
  narrow16to8,
  narrow32to16,
  or,
  promoteLow,
  repeat,
  set,
  shiftLeft32,
  shiftRight32,
  shuffle,
  splat32,
  store,
  store16,
  store64,
  type Code,
  type KernelFunction,
} from '../../numeric/webAssembly';

/** Weights that the kernels take at once; groups must be a multiple of it. */
export const kernelStep = 16;

/** Weights that are in the memory of the kernels at once. */
export const kernelWeights = 2 ** 20;

/** 2^52: above it every double is a whole number, so adding it rounds, ties to even, and leaves the number in the low bits. */
const whole = 2 ** 52;

/** Bytes: weights, then per group (of 16 at least) an inverse scale and a maximum, then codes. */
const places = {
  weights: 0,
  inverses: 2 * kernelWeights,
  maxima: 2 * kernelWeights + (8 * kernelWeights) / kernelStep,
  codes: 2 * kernelWeights + (10 * kernelWeights) / kernelStep,
} as const;
const pageBytes = 65536;
const pages = (places.codes + kernelWeights) / pageBytes;

/** Parts of the memory, and the functions over them. */
export interface PackKernel {
  readonly weights: Uint16Array;
  readonly inverses: Float64Array;
  readonly maxima: Uint16Array;
  readonly codes: Uint8Array;
  /** Bit pattern of the largest size in every group. */
  findMaxima(groups: number, group: number): void;
  /** Codes of all weights, packed low bits first: each weight times the inverse of its group, rounded. */
  packCodes(groups: number, group: number, bits: 4 | 8): void;
}

let kernel: PackKernel | undefined;

/** Vector code for {@link packBfloat16}, compiled once. */
export function packKernel(): PackKernel {
  return (kernel ??= compile());
}

type Exported = Readonly<Record<'findMaxima' | 'packFour' | 'packEight', (...values: readonly number[]) => void>> & {
  readonly memory: { readonly buffer: ArrayBuffer };
};

/** The part of the JavaScript interface that is used; the types of Node have none of it. */
interface WebAssemblyHost {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object) => { readonly exports: Exported };
}

function compile(): PackKernel {
  const { WebAssembly: host } = globalThis as unknown as { readonly WebAssembly: WebAssemblyHost };
  const module = new host.Module(moduleBytes([maximaFunction, packFunction(4), packFunction(8)], pages));
  const exported = new host.Instance(module).exports;
  const { buffer } = exported.memory;
  return {
    weights: new Uint16Array(buffer, places.weights, kernelWeights),
    inverses: new Float64Array(buffer, places.inverses, kernelWeights / kernelStep),
    maxima: new Uint16Array(buffer, places.maxima, kernelWeights / kernelStep),
    codes: new Uint8Array(buffer, places.codes, kernelWeights),
    findMaxima: (groups, group) => exported.findMaxima(places.weights, groups, group / kernelStep, places.maxima),
    packCodes: (groups, group, bits) =>
      exported[bits === 4 ? 'packFour' : 'packEight'](
        places.weights,
        groups,
        group / kernelStep,
        places.inverses,
        places.codes,
      ),
  };
}

/** Parameters of both functions come first: weights, groups, steps in a group. */
const [source, groupsLeft, stepsOfGroup] = [0, 1, 2] as const;

const maximaFunction: KernelFunction = {
  name: 'findMaxima',
  parameters: 4,
  locals: ['i32', 'v128'],
  body: maximaBody(3, 4, 5),
};

function maximaBody(target: number, steps: number, largest: number): Code {
  const size = (offset: number) => and(load(get(source), offset), splat32(0x7fff7fff));
  // Halves of what is left are compared until one lane has it.
  const fold = (distance: number) => {
    const lanes = Array.from({ length: 16 }, (_, at) => (at + distance) % 16);
    return set(largest, max16(get(largest), shuffle(get(largest), get(largest), lanes)));
  };
  return repeat(groupsLeft, [
    ...set(largest, splat32(0)),
    ...set(steps, get(stepsOfGroup)),
    ...repeat(steps, [
      ...set(largest, max16(get(largest), max16(size(0), size(16)))),
      ...advance(source, 2 * kernelStep),
    ]),
    ...fold(8),
    ...fold(4),
    ...fold(2),
    ...store16(get(target), laneOf16(get(largest), 0)),
    ...advance(target, 2),
  ]);
}

function packFunction(bits: 4 | 8): KernelFunction {
  const [inverses, target, steps, inverse, low, high] = [3, 4, 5, 6, 7, 8] as const;
  /** Eight codes in lanes of 16 bits, in the local `low`, from the weights at an offset. */
  const eight = (offset: number): Code => {
    const floats = (extend: (value: Code) => Code) => shiftLeft32(extend(load(get(source), offset)), 16);
    const shifted = (value: Code) =>
      addDoubles(multiplyDoubles(promoteLow(value), get(inverse)), doubles(whole + 2 ** (bits - 1)));
    const upper = (local: number) =>
      shuffle(get(local), get(local), [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]);
    // The low words of four doubles.
    const four = (local: number) =>
      shuffle(shifted(get(local)), shifted(upper(local)), [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]);
    return [
      ...set(low, floats(extendLow16)),
      ...set(high, floats(extendHigh16)),
      ...set(low, narrow32to16(four(low), four(high))),
    ];
  };
  const [first, second] = [9, 10] as const;
  const step: Code =
    bits === 8
      ? [
          ...eight(0),
          ...set(first, get(low)),
          ...eight(16),
          ...store(get(target), narrow16to8(get(first), get(low))),
          ...advance(target, kernelStep),
        ]
      : [
          ...eight(0),
          ...set(first, nibblePairs(low)),
          ...eight(16),
          ...set(second, narrow32to16(get(first), nibblePairs(low))),
          ...store64(get(target), laneOf64(narrow16to8(get(second), get(second)), 0)),
          ...advance(target, kernelStep / 2),
        ];
  return {
    name: bits === 4 ? 'packFour' : 'packEight',
    parameters: 5,
    locals: ['i32', 'v128', 'v128', 'v128', 'v128', 'v128'],
    body: repeat(groupsLeft, [
      ...set(inverse, loadDoubleSplat(get(inverses))),
      ...advance(inverses, 8),
      ...set(steps, get(stepsOfGroup)),
      ...repeat(steps, [...step, ...advance(source, 2 * kernelStep)]),
    ]),
  };
}

/** Two neighbouring codes of 4 bits in the low byte of every 32-bit lane. */
function nibblePairs(codes: number): Code {
  return and(or(get(codes), shiftRight32(get(codes), 12)), splat32(0xff));
}
