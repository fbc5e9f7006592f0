const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Bits of the nearest bfloat16, ties to even. */
export function toBfloat16Bits(value: number): number {
  float[0] = value;
  const all = bits[0]!;
  if (Number.isNaN(value)) {
    return 0x7fc0;
  }
  return ((all + 0x7fff + ((all >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Bits of the nearest float16, ties to even; values beyond its range become infinite. */
export function toFloat16Bits(value: number): number {
  float[0] = value;
  const sign = (bits[0]! >>> 16) & 0x8000;
  const size = Math.abs(float[0]);
  if (Number.isNaN(size)) {
    return sign | 0x7e00;
  }
  if (size >= 65520) {
    return sign | 0x7c00;
  }
  // Below 2^-14 the spacing is 2^-24; above, 11 significant bits remain.
  const exponent = Math.max(-14, Math.floor(Math.log2(size)));
  const spacing = 2 ** (exponent - 10);
  const steps = roundHalfToEven(size / spacing);
  return size < 2 ** -14 ? sign | steps : sign | (((exponent + 15) << 10) + steps - 1024);
}

/** The number that float16 bits stand for. */
export function fromFloat16Bits(pattern: number): number {
  const exponent = (pattern >> 10) & 31;
  const fraction = pattern & 1023;
  const size =
    exponent === 31
      ? fraction === 0
        ? Infinity
        : NaN
      : exponent === 0
        ? fraction * 2 ** -24
        : (1024 + fraction) * 2 ** (exponent - 25);
  return (pattern & 0x8000) === 0 ? size : -size;
}

function roundHalfToEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}
