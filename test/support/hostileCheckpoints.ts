import { mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ErrorCode } from '../../engine/protocol/errors';

/** A checkpoint that must be refused: how to build it, and what the error has to say. */
export interface HostileCheckpoint {
  readonly name: string;
  /** Fills an existing empty folder; files outside of it go to `outside`, another empty folder. */
  readonly build: (folder: string, outside: string) => Promise<void>;
  readonly code: ErrorCode;
  /** File at fault, relative to the folder ("" is the folder itself). */
  readonly file: string;
  /** What the place inside the file must match; undefined where the whole file is at fault. */
  readonly place: RegExp | undefined;
  /** Words the message must contain, so that the case fails for its own reason. */
  readonly message: RegExp;
}

interface HeaderEntry {
  readonly dtype?: unknown;
  readonly shape?: unknown;
  readonly data_offsets?: unknown;
}

/** Bytes of a safetensors file with exactly this header, whatever nonsense it says. */
export function safetensorsBytes(header: Readonly<Record<string, unknown>> | string, dataBytes: number): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.byteLength));
  return Buffer.concat([length, text, Buffer.alloc(dataBytes, 1)]);
}

const config = { model_type: 'mixtral', num_local_experts: 4, num_experts_per_tok: 2, eos_token_id: 2 };
const valid: HeaderEntry = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };

/** Writes a config and one weight file. */
export async function writeSingleFile(folder: string, weights: Uint8Array): Promise<void> {
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
  await writeFile(path.join(folder, 'model.safetensors'), weights);
}

/** Writes a config, an index and two shards with the tensors `a` and `b`. */
export async function writeSharded(
  folder: string,
  weightMap: unknown = { a: 'one.safetensors', b: 'two.safetensors' },
): Promise<void> {
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
  await writeFile(path.join(folder, 'one.safetensors'), safetensorsBytes({ a: valid }, 8));
  await writeFile(path.join(folder, 'two.safetensors'), safetensorsBytes({ b: valid }, 8));
  await writeFile(path.join(folder, indexName), JSON.stringify({ metadata: {}, weight_map: weightMap }));
}

const indexName = 'model.safetensors.index.json';
const weightsName = 'model.safetensors';

/** A case that differs from a good checkpoint by the header alone. */
function header(
  name: string,
  content: Readonly<Record<string, unknown>> | string,
  dataBytes: number,
  place: RegExp,
  message: RegExp,
  code: ErrorCode = 'malformedSafetensors',
): HostileCheckpoint {
  const build = (folder: string): Promise<void> => writeSingleFile(folder, safetensorsBytes(content, dataBytes));
  return { name, build, code, file: weightsName, place, message };
}

/** A case that differs from a good sharded checkpoint by the weight map alone. */
function index(name: string, weightMap: unknown, code: ErrorCode, place: RegExp, message: RegExp): HostileCheckpoint {
  return { name, build: (folder) => writeSharded(folder, weightMap), code, file: indexName, place, message };
}

/** A case about the raw bytes of the weight file. */
function bytes(name: string, content: Uint8Array, place: RegExp, message: RegExp): HostileCheckpoint {
  const build = (folder: string): Promise<void> => writeSingleFile(folder, content);
  return { name, build, code: 'malformedSafetensors', file: weightsName, place, message };
}

function lengthPrefix(length: bigint, rest = Buffer.alloc(0)): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length);
  return Buffer.concat([prefix, rest]);
}

const second = (begin: number, end: number): HeaderEntry => ({ dtype: 'F32', shape: [2], data_offsets: [begin, end] });
const longKey = 'x'.repeat(1000);

export const hostileCheckpoints: readonly HostileCheckpoint[] = [
  bytes('empty weight file', Buffer.alloc(0), /header length/, /0 bytes/),
  bytes('file shorter than the length field', Buffer.alloc(5), /header length/, /5 bytes/),
  bytes('header length beyond the file', lengthPrefix(1000n, Buffer.from('{}')), /header length/, /1000 bytes/),
  bytes('header length of 2^64-1', lengthPrefix(2n ** 64n - 1n), /header length/, /18446744073709551615/),
  bytes('header of zero bytes', lengthPrefix(0n), /header/, /brace/),
  bytes(
    'a ZIP archive under a wrong name',
    Buffer.from('PK\u0003\u0004 something else entirely'),
    /header length/,
    /claims/,
  ),
  bytes('header that is not UTF-8', lengthPrefix(4n, Buffer.from([0x7b, 0x22, 0xff, 0x7d])), /^header$/, /UTF-8/),
  {
    name: 'header length over the limit of the format',
    build: async (folder) => {
      await writeSingleFile(folder, lengthPrefix(100_000_001n));
      await truncate(path.join(folder, weightsName), 100_000_100);
    },
    code: 'malformedSafetensors',
    file: weightsName,
    place: /header length/,
    message: /at most 100000000/,
  },
  {
    name: 'truncated file',
    build: async (folder) => {
      const complete = safetensorsBytes({ weight: valid }, 8);
      await writeSingleFile(folder, complete.subarray(0, complete.byteLength - 3));
    },
    code: 'malformedSafetensors',
    file: weightsName,
    place: /^weight$/,
    message: /beyond the 5 data bytes/,
  },
  header('header that is not JSON', '{"weight": {', 0, /line 1, column/, /malformed/),
  header('header nested without end', `{"a":${'['.repeat(200_000)}`, 0, /line 1/, /malformed/),
  header('header with a byte order mark', `\ufeff{}`, 0, /header/, /brace/),
  header('trailing data', { weight: valid }, 9, /^weight$/, /1 bytes follow/),
  header('no tensors but data', {}, 4, /header/, /4 bytes follow/),
  header(
    'duplicate tensor name',
    `{"weight":${JSON.stringify(valid)},"weight":${JSON.stringify(valid)}}`,
    8,
    /^weight \(line 1, column \d+\)$/,
    /twice/,
  ),
  header(
    'duplicate tensor name in disguise',
    `{"weight":${JSON.stringify(valid)},"w\\u0065ight":${JSON.stringify(valid)}}`,
    8,
    /^weight /,
    /twice/,
  ),
  header(
    'duplicate key inside a tensor',
    `{"weight":{"dtype":"F32","shape":[2],"shape":[1],"data_offsets":[0,8]}}`,
    8,
    /^shape /,
    /twice/,
  ),
  header('overlapping tensors', { first: valid, other: second(4, 12) }, 12, /^other$/, /overlap those of first/),
  header('two tensors on the same bytes', { first: valid, other: second(0, 8) }, 8, /^other$/, /overlap/),
  header('hole between tensors', { first: valid, other: second(12, 20) }, 20, /^other$/, /hole of 4 bytes/),
  header('hole before the first tensor', { weight: second(8, 16) }, 16, /^weight$/, /hole of 8 bytes/),
  header('offsets beyond the file', { weight: second(0, 8), other: second(8, 16) }, 8, /^other$/, /beyond/),
  header('offsets that end before they begin', { weight: second(8, 0) }, 8, /^weight$/, /before they begin/),
  header('negative offset', { weight: second(-8, 0) }, 8, /^weight$/, /pair/),
  header('offset with a fraction', { weight: second(0.5, 8.5) }, 8, /^weight$/, /pair/),
  header('offset beyond exact integers', { weight: second(0, 2 ** 60) }, 8, /^weight$/, /pair/),
  header('one offset', { weight: { ...valid, data_offsets: [0] } }, 8, /^weight$/, /pair/),
  header('no offsets', { weight: { dtype: 'F32', shape: [2] } }, 8, /^weight$/, /pair/),
  header('byte length of another dtype', { weight: { ...valid, dtype: 'BF16' } }, 8, /^weight$/, /needs 4 bytes/),
  header('byte length of another shape', { weight: { ...valid, shape: [3] } }, 8, /^weight$/, /needs 12 bytes/),
  header(
    'shape whose product overflows',
    { weight: { ...valid, shape: [2 ** 32, 2 ** 32, 2 ** 32] } },
    8,
    /^weight$/,
    /needs/,
  ),
  header('negative shape', { weight: { ...valid, shape: [-1, -2] } }, 8, /^weight$/, /shape/),
  header('shape that is a text', { weight: { ...valid, shape: '2' } }, 8, /^weight$/, /shape/),
  header('dtype missing', { weight: { shape: [2], data_offsets: [0, 8] } }, 8, /^weight$/, /dtype/),
  header('unknown dtype', { weight: { ...valid, dtype: 'F42' } }, 8, /^weight$/, /"F42"/, 'unsupportedDtype'),
  header(
    'dtype named like an object property',
    { weight: { ...valid, dtype: 'constructor' } },
    8,
    /^weight$/,
    /"constructor"/,
    'unsupportedDtype',
  ),
  header('tensor that is a number', { weight: 7 }, 0, /^weight$/, /object/),
  header('tensor named __proto__', `{"__proto__":7}`, 0, /^__proto__$/, /object/),
  header('metadata that are no texts', { __metadata__: { format: 1 } }, 0, /^__metadata__$/, /texts/),
  {
    name: 'weights that are a folder',
    build: async (folder) => {
      await writeSingleFile(folder, Buffer.alloc(0));
      await rm(path.join(folder, weightsName));
      await mkdir(path.join(folder, weightsName));
    },
    code: 'malformedSafetensors',
    file: weightsName,
    place: undefined,
    message: /regular file/,
  },
  {
    name: 'missing shard',
    build: async (folder) => {
      await writeSharded(folder);
      await rm(path.join(folder, 'two.safetensors'));
    },
    code: 'missingShard',
    file: 'two.safetensors',
    place: /model\.safetensors\.index\.json$/,
    message: /two\.safetensors/,
  },
  {
    name: 'index that is not JSON',
    build: async (folder) => {
      await writeSharded(folder);
      await writeFile(path.join(folder, indexName), '{\n  "weight_map": {,}\n}');
    },
    code: 'malformedIndex',
    file: indexName,
    place: /line 2, column 18/,
    message: /malformed/,
  },
  {
    name: 'index that names a tensor twice',
    build: async (folder) => {
      await writeSharded(folder);
      const text = '{"weight_map": {"a": "one.safetensors", "b": "two.safetensors",\n"a": "two.safetensors"}}';
      await writeFile(path.join(folder, indexName), text);
    },
    code: 'malformedIndex',
    file: indexName,
    place: /^a \(line 2, column 1\)$/,
    message: /twice/,
  },
  index('index without weight map', null, 'malformedIndex', /weight_map/, /no object weight_map/),
  index('index whose weight map is a list', ['one.safetensors'], 'malformedIndex', /weight_map/, /no object/),
  index('index without tensors', {}, 'malformedIndex', /weight_map/, /names no tensor/),
  index('index that maps to a number', { a: 1 }, 'malformedIndex', /weight_map\.a/, /not a text/),
  index(
    'tensor that its shard lacks',
    { a: 'one.safetensors', b: 'two.safetensors', c: 'two.safetensors' },
    'malformedIndex',
    /^c$/,
    /no shard holds it/,
  ),
  index(
    'tensor in another shard than the index says',
    { a: 'two.safetensors', b: 'one.safetensors' },
    'malformedIndex',
    /^a$/,
    /it is in one\.safetensors/,
  ),
  ...[
    '../outside/two.safetensors',
    '/etc/passwd',
    'C:\\weights.safetensors',
    'C:weights',
    'sub\\..\\..\\x',
    'a/../../b',
    '\\\\host\\x',
    'x\0y',
  ].map((shard) =>
    index(
      `index that leaves the folder by ${JSON.stringify(shard)}`,
      { a: 'one.safetensors', b: shard },
      'pathEscapesFolder',
      /weight_map\.b/,
      /may leave the folder/,
    ),
  ),
  {
    name: 'tensor in two shards',
    build: async (folder) => {
      await writeSharded(folder);
      const both = safetensorsBytes({ a: valid, b: second(8, 16) }, 16);
      await writeFile(path.join(folder, 'two.safetensors'), both);
    },
    code: 'malformedIndex',
    file: indexName,
    place: /^a$/,
    message: /two shards, one\.safetensors and two\.safetensors/,
  },
  ...(['model.safetensors', 'config.json', 'tokenizer.json'] as const).map((name): HostileCheckpoint => ({
    name: `${name} that is a symbolic link out of the folder`,
    build: async (folder, outside) => {
      await writeSingleFile(folder, safetensorsBytes({ weight: valid }, 8));
      const target = path.join(outside, name);
      await writeFile(target, name === 'config.json' ? JSON.stringify(config) : safetensorsBytes({ weight: valid }, 8));
      await rm(path.join(folder, name), { force: true });
      await symlink(target, path.join(folder, name));
    },
    code: 'pathEscapesFolder',
    file: name,
    place: undefined,
    message: /symbolic link/,
  })),
  {
    name: 'shard that is a symbolic link out of the folder',
    build: async (folder, outside) => {
      await writeSharded(folder);
      const target = path.join(outside, 'two.safetensors');
      await writeFile(target, safetensorsBytes({ b: valid }, 8));
      await rm(path.join(folder, 'two.safetensors'));
      await symlink(target, path.join(folder, 'two.safetensors'));
    },
    code: 'pathEscapesFolder',
    file: 'two.safetensors',
    place: undefined,
    message: /symbolic link/,
  },
  {
    name: 'symbolic link to itself',
    build: async (folder) => {
      await writeSingleFile(folder, Buffer.alloc(0));
      await rm(path.join(folder, weightsName));
      await symlink(weightsName, path.join(folder, weightsName));
    },
    code: 'fileNotFound',
    file: weightsName,
    place: undefined,
    message: /back to itself/,
  },
  {
    name: 'config that is not JSON',
    build: async (folder) => {
      await writeSingleFile(folder, safetensorsBytes({ weight: valid }, 8));
      await writeFile(path.join(folder, 'config.json'), '{\n  "model_type": "mixtral"\n  "num_local_experts": 4\n}\n');
    },
    code: 'malformedConfig',
    file: 'config.json',
    place: /line 3, column 3/,
    message: /malformed/,
  },
  {
    name: 'config that is a list',
    build: async (folder) => {
      await writeSingleFile(folder, safetensorsBytes({ weight: valid }, 8));
      await writeFile(path.join(folder, 'config.json'), '[]');
    },
    code: 'malformedConfig',
    file: 'config.json',
    place: /line 1/,
    message: /not a JSON object/,
  },
  {
    name: 'config with a key twice',
    build: async (folder) => {
      await writeSingleFile(folder, safetensorsBytes({ weight: valid }, 8));
      const text = `{\n"num_experts_per_tok": 2,\n"${longKey}": 1,\n"num_experts_per_tok": 4}`;
      await writeFile(path.join(folder, 'config.json'), text);
    },
    code: 'malformedConfig',
    file: 'config.json',
    place: /^num_experts_per_tok \(line 4, column 1\)$/,
    message: /twice/,
  },
  {
    name: 'folder without a config',
    build: (folder) => writeFile(path.join(folder, weightsName), safetensorsBytes({ weight: valid }, 8)),
    code: 'notACheckpoint',
    file: '',
    place: undefined,
    message: /no config\.json/,
  },
  {
    name: 'folder without weights',
    build: (folder) => writeFile(path.join(folder, 'config.json'), JSON.stringify(config)),
    code: 'notACheckpoint',
    file: '',
    place: undefined,
    message: /no safetensors weights/,
  },
  {
    name: 'shards without an index',
    build: async (folder) => {
      await writeSharded(folder);
      await rm(path.join(folder, indexName));
    },
    code: 'fileNotFound',
    file: indexName,
    place: undefined,
    message: /neither/,
  },
];
