import { deflateSync } from 'node:zlib';
import type { Pixels } from './pixels';

/** A small picture: mean colours of square blocks of a larger one. */
export interface Thumbnail {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue of `[height × width]`. */
  readonly data: Uint8Array;
}

/** A part of a picture, in pixels. */
export interface Region {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Pixels of a block in either direction: about half the height of a letter, so that shapes of letters vanish and words stay. */
export const blockSize = 6;

/** The mean colours of a region's blocks; blocks at the right and lower edges may be smaller. */
export function thumbnailOf(pixels: Pixels, region: Region): Thumbnail {
  const left = Math.max(0, Math.round(region.x));
  const top = Math.max(0, Math.round(region.y));
  const right = Math.min(pixels.width, Math.round(region.x + region.width));
  const bottom = Math.min(pixels.height, Math.round(region.y + region.height));
  const width = Math.ceil((right - left) / blockSize);
  const height = Math.ceil((bottom - top) / blockSize);
  const data = new Uint8Array(Math.max(0, width * height * 3));
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const from = { x: left + column * blockSize, y: top + row * blockSize };
      const to = { x: Math.min(right, from.x + blockSize), y: Math.min(bottom, from.y + blockSize) };
      data.set(meanColour(pixels, from, to), (row * width + column) * 3);
    }
  }
  return { width, height, data };
}

interface Corner {
  readonly x: number;
  readonly y: number;
}

function meanColour({ width, channels, data }: Pixels, from: Corner, to: Corner): readonly number[] {
  const sum = [0, 0, 0];
  for (let y = from.y; y < to.y; y += 1) {
    for (let x = from.x; x < to.x; x += 1) {
      const at = (y * width + x) * channels;
      sum[0]! += data[at]!;
      sum[1]! += data[at + 1]!;
      sum[2]! += data[at + 2]!;
    }
  }
  const count = (to.x - from.x) * (to.y - from.y);
  return sum.map((value) => Math.round(value / count));
}

/** The thumbnail as PNG file, https://www.w3.org/TR/png-3/: 8-bit RGB, each row as differences from the one above. */
export function encodeThumbnail({ width, height, data }: Thumbnail): Buffer {
  const stride = width * 3;
  const rows = Buffer.alloc((stride + 1) * height);
  for (let row = 0; row < height; row += 1) {
    rows[row * (stride + 1)] = 2;
    for (let at = 0; at < stride; at += 1) {
      const above = row === 0 ? 0 : data[(row - 1) * stride + at]!;
      rows[row * (stride + 1) + 1 + at] = data[row * stride + at]! - above;
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(content.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

/** CRC-32 as PNG uses it. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
  }
  return (crc ^ 0xffffffff) >>> 0;
}
