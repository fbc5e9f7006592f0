import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';

const endSignature = 0x06054b50;
const entrySignature = 0x02014b50;

/**
 * @typedef {object} ZipEntry
 * @property {string} name
 * @property {number} size Bytes when unpacked.
 * @property {() => Buffer} read Unpacks the entry.
 */

/**
 * Lists a zip archive (a .vsix is one). Enough for archives below 4 GB without encryption.
 * @param {string} file
 * @returns {ZipEntry[]}
 */
export function readZip(file) {
  const bytes = readFileSync(file);
  let end = bytes.length - 22;
  while (end >= 0 && bytes.readUInt32LE(end) !== endSignature) {
    end--;
  }
  if (end < 0) {
    throw new Error(`${file} is not a zip archive.`);
  }
  /** @type {ZipEntry[]} */
  const entries = [];
  let at = bytes.readUInt32LE(end + 16);
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left--) {
    if (bytes.readUInt32LE(at) !== entrySignature) {
      throw new Error(`${file}: damaged directory at byte ${at}.`);
    }
    const nameLength = bytes.readUInt16LE(at + 28);
    const header = {
      method: bytes.readUInt16LE(at + 10),
      packed: bytes.readUInt32LE(at + 20),
      size: bytes.readUInt32LE(at + 24),
      offset: bytes.readUInt32LE(at + 42),
    };
    entries.push({
      name: bytes.toString('utf8', at + 46, at + 46 + nameLength),
      size: header.size,
      read: () => {
        const data =
          header.offset + 30 + bytes.readUInt16LE(header.offset + 26) + bytes.readUInt16LE(header.offset + 28);
        const packed = bytes.subarray(data, data + header.packed);
        return header.method === 0 ? packed : inflateRawSync(packed);
      },
    });
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  return entries;
}
