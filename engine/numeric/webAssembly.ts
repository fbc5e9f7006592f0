/**
 * The few instructions of WebAssembly that kernels here are made of, as bytes (WebAssembly Core Specification 2.0, chapter 5). Every
 * function pushes its operands in order and then its own code.
 */
export type Code = readonly number[];

/** Unsigned LEB128. */
export function unsigned(value: number): Code {
  const bytes: number[] = [];
  for (let rest = value; ;) {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
    if (rest === 0) {
      return bytes;
    }
  }
}

/** Signed LEB128 of a 32-bit number. */
function signed(value: number): Code {
  const bytes: number[] = [];
  for (let rest = value; ;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) {
      return bytes;
    }
  }
}

const join = (...parts: readonly Code[]): Code => parts.flat();
/** Instructions on 128-bit vectors have a prefix. */
const vector = (opcode: number, operands: readonly Code[], immediates: Code = []): Code =>
  join(...operands, [0xfd], unsigned(opcode), immediates);
const address = (offset: number): Code => [0, ...unsigned(offset)];

export const valueTypes = { i32: 0x7f, v128: 0x7b } as const;

export type ValueType = keyof typeof valueTypes;

export const get = (local: number): Code => [0x20, ...unsigned(local)];
export const set = (local: number, value: Code): Code => join(value, [0x21], unsigned(local));
export const i32 = (value: number): Code => [0x41, ...signed(value)];
export const add = (left: Code, right: Code): Code => join(left, right, [0x6a]);
export const advance = (local: number, bytes: number): Code => set(local, add(get(local), i32(bytes)));

/** Runs the body as often as the local says, at least once; it counts down to zero. */
export const repeat = (counter: number, body: Code): Code =>
  join([0x03, 0x40], body, advance(counter, -1), get(counter), [0x0d, 0x00, 0x0b]);

export const store16 = (at: Code, value: Code): Code => join(at, value, [0x3b, ...address(0)]);
export const store64 = (at: Code, value: Code): Code => join(at, value, [0x37, ...address(0)]);

export const load = (at: Code, offset = 0): Code => vector(0x00, [at], address(offset));
/** One double in both halves. */
export const loadDoubleSplat = (at: Code): Code => vector(0x0a, [at], address(0));
export const store = (at: Code, value: Code): Code => vector(0x0b, [at, value], address(0));
export const shuffle = (left: Code, right: Code, lanes: readonly number[]): Code => vector(0x0d, [left, right], lanes);
export const splat32 = (value: number): Code => vector(0x11, [i32(value)]);
export const laneOf16 = (value: Code, lane: number): Code => vector(0x19, [value], [lane]);
export const laneOf64 = (value: Code, lane: number): Code => vector(0x1d, [value], [lane]);
export const and = (left: Code, right: Code): Code => vector(0x4e, [left, right]);
export const or = (left: Code, right: Code): Code => vector(0x50, [left, right]);
export const promoteLow = (value: Code): Code => vector(0x5f, [value]);
export const narrow16to8 = (low: Code, high: Code): Code => vector(0x66, [low, high]);
export const narrow32to16 = (low: Code, high: Code): Code => vector(0x86, [low, high]);
export const max16 = (left: Code, right: Code): Code => vector(0x99, [left, right]);
export const extendLow16 = (value: Code): Code => vector(0xa9, [value]);
export const extendHigh16 = (value: Code): Code => vector(0xaa, [value]);
export const shiftLeft32 = (value: Code, bits: number): Code => vector(0xab, [value, i32(bits)]);
export const shiftRight32 = (value: Code, bits: number): Code => vector(0xad, [value, i32(bits)]);
export const addDoubles = (left: Code, right: Code): Code => vector(0xf0, [left, right]);
export const multiplyDoubles = (left: Code, right: Code): Code => vector(0xf2, [left, right]);
/** Two equal doubles. */
export const doubles = (value: number): Code => {
  const bytes = [...new Uint8Array(Float64Array.of(value).buffer)];
  return vector(0x0c, [], [...bytes, ...bytes]);
};

/** A function without a result. */
export interface KernelFunction {
  readonly name: string;
  /** All of type i32. */
  readonly parameters: number;
  /** Locals after the parameters, in order. */
  readonly locals: readonly ValueType[];
  readonly body: Code;
}

/** A module of functions over one memory, which is exported as `memory`. */
export function moduleBytes(functions: readonly KernelFunction[], pages: number): Uint8Array<ArrayBuffer> {
  const list = (items: readonly Code[]): Code => join(unsigned(items.length), ...items);
  const section = (id: number, content: Code): Code => join([id], unsigned(content.length), content);
  const name = (text: string): Code => join(unsigned(text.length), [...Buffer.from(text, 'latin1')]);
  const types = functions.map(({ parameters }) =>
    join([0x60], list(Array.from({ length: parameters }, () => [valueTypes.i32])), unsigned(0)),
  );
  const bodies = functions.map(({ locals, body }) => {
    const content = join(list(locals.map((type) => [1, valueTypes[type]])), body, [0x0b]);
    return join(unsigned(content.length), content);
  });
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list(types)),
    ...section(3, list(functions.map((_, at) => unsigned(at)))),
    ...section(5, list([join([0x00], unsigned(pages))])),
    ...section(
      7,
      list([join(name('memory'), [2, 0]), ...functions.map((each, at) => join(name(each.name), [0], unsigned(at)))]),
    ),
    ...section(10, list(bodies)),
  ]);
}
