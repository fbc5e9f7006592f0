import { inflateSync } from 'node:zlib';

/** What an image looks like, as far as a test can say without a reference picture. */
export interface PixelFacts {
  readonly width: number;
  readonly height: number;
  /** Colours (rounded to 5 bits a channel) that cover at least 0.1 % of the image each. */
  readonly colours: number;
  /** Share of the image that does not have its most frequent colour. */
  readonly painted: number;
}

/** A decoded image. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** Rows without their filter bytes. */
  readonly data: Uint8Array;
}

/** Channels by PNG colour type; browsers write these two for screenshots. */
const channelsByColourType: Readonly<Record<number, number>> = { 2: 3, 6: 4 };

export function lookAt(png: Buffer): PixelFacts {
  const { width, height, channels, data } = decodePng(png);
  const counts = new Map<number, number>();
  for (let at = 0; at < data.length; at += channels) {
    const colour = ((data[at]! >> 3) << 10) | ((data[at + 1]! >> 3) << 5) | (data[at + 2]! >> 3);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const sizes = [...counts.values()];
  return {
    width,
    height,
    colours: sizes.filter((size) => size >= 0.001 * width * height).length,
    painted: 1 - Math.max(...sizes) / (width * height),
  };
}

/** Decodes an 8-bit PNG without interlacing, as https://www.w3.org/TR/png-3/ describes it. */
export function decodePng(png: Buffer): Pixels {
  const packed: Buffer[] = [];
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') {
      packed.push(png.subarray(at + 8, at + 8 + length));
    }
    at += 12 + length;
  }
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const channels = channelsByColourType[png[25]!];
  if (channels === undefined || png[24] !== 8 || png[28] !== 0) {
    throw new Error('Only 8-bit RGB and RGBA images without interlacing are understood.');
  }
  const filtered = inflateSync(Buffer.concat(packed));
  const stride = width * channels;
  const data = new Uint8Array(height * stride);
  for (let row = 0; row < height; row++) {
    const filter = filtered[row * (stride + 1)]!;
    for (let column = 0; column < stride; column++) {
      const left = column < channels ? 0 : data[row * stride + column - channels]!;
      const above = row === 0 ? 0 : data[(row - 1) * stride + column]!;
      const corner = row === 0 || column < channels ? 0 : data[(row - 1) * stride + column - channels]!;
      const value = filtered[row * (stride + 1) + 1 + column]!;
      data[row * stride + column] = value + prediction(filter, left, above, corner);
    }
  }
  return { width, height, channels, data };
}

function prediction(filter: number, left: number, above: number, corner: number): number {
  switch (filter) {
    case 0:
      return 0;
    case 1:
      return left;
    case 2:
      return above;
    case 3:
      return (left + above) >> 1;
    default:
      return paeth(left, above, corner);
  }
}

function paeth(left: number, above: number, corner: number): number {
  const [toLeft, toAbove, toCorner] = [above - corner, left - corner, left + above - 2 * corner].map(Math.abs);
  if (toLeft! <= toAbove! && toLeft! <= toCorner!) {
    return left;
  }
  return toAbove! <= toCorner! ? above : corner;
}
