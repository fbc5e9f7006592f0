import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readTensorBytes } from '../../engine/checkpoint/readTensor';
import { readSafetensorsHeader } from '../../engine/checkpoint/safetensorsHeader';
import { writeSafetensors, type TensorToWrite } from '../../engine/checkpoint/writeSafetensors';
import { readStatistics, writeStatistics, type StatisticsFile } from '../../engine/measure/calibration/statisticsFile';
import { readTrace, writeTrace, type RoutingTrace } from '../../engine/measure/calibration/traceFile';
import { failureOf } from '../support/failureOf';
import { statisticsSample } from '../support/statisticsSample';
import { temporaryFolder } from '../support/temporaryFolder';

const statistics = statisticsSample();
const whole: StatisticsFile = {
  statistics,
  description: {
    engine: '1.0.0',
    fingerprint: statistics.fingerprint,
    family: statistics.family,
    tokens: statistics.tokens,
    seed: statistics.seed,
    length: 512,
    tags: [...statistics.tags],
    texts: [{ name: 'code', sha256: 'abc', tokens: 10 }],
    layers: [1, 3],
  },
};

async function written(): Promise<string> {
  const file = path.join(await temporaryFolder(), 'statistics.safetensors');
  await writeStatistics(file, whole);
  return file;
}

test('a statistics file gives back what was written, and the same bytes for the same statistics', async () => {
  const file = await written();
  expect(await readStatistics(file)).toEqual(whole);
  const again = await written();
  expect(await readFile(again)).toEqual(await readFile(file));
});

/** Tensors and metadata of a written file, to change before it is written again. */
interface Parts {
  tensors: TensorToWrite[];
  metadata: Record<string, string>;
}

function changeTensor(name: string, change: (bytes: Uint8Array) => void) {
  return ({ tensors }: Parts) => change(tensors.find((tensor) => tensor.name === name)!.data as Uint8Array);
}

function changeDescription(change: Readonly<Record<string, unknown>>) {
  return ({ metadata }: Parts) => {
    const [key] = Object.keys(metadata);
    metadata[key!] = JSON.stringify({ ...(JSON.parse(metadata[key!]!) as object), ...change });
  };
}

function putDouble(at: number, value: number) {
  return (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).setFloat64(8 * at, value, true);
}

const hostile: readonly { name: string; change: (parts: Parts) => void; place: RegExp; message: RegExp }[] = [
  {
    name: 'a tensor is missing',
    change: (parts) => {
      parts.tensors = parts.tensors.filter(({ name }) => name !== 'layers.3.contributionGram');
    },
    place: /^layers\.3\.contributionGram$/,
    message: /missing: F64 \[4, 4\]/,
  },
  {
    name: 'a tensor has another shape',
    change: (parts) => {
      parts.tensors = parts.tensors.map((tensor) =>
        tensor.name === 'layers.1.gates' ? { ...tensor, shape: [4, 2] } : tensor,
      );
    },
    place: /^layers\.1\.gates$/,
    message: /F64 \[4, 2\] instead of F64 \[2, 4\]/,
  },
  {
    name: 'a tensor too many',
    change: ({ tensors }) => {
      tensors.push({ name: 'extra', dtype: 'U8', shape: [1], data: Uint8Array.of(1) });
    },
    place: /^extra$/,
    message: /does not belong/,
  },
  {
    name: 'a value is no number',
    change: changeTensor('layers.1.outputNorms', putDouble(3, NaN)),
    place: /layers\.1\.outputNorms, element 3/,
    message: /NaN/,
  },
  {
    name: 'a norm is negative',
    change: changeTensor('layers.1.outputNorms', putDouble(2, -1)),
    place: /layers\.1\.outputNorms/,
    message: /negative/,
  },
  {
    name: 'counts do not add up',
    change: changeTensor('layers.3.counts', putDouble(0, 8)),
    place: /layers\.3\.counts/,
    message: /not 2 for each of 7 tokens/,
  },
  {
    name: 'the co-activation contradicts the counts',
    change: changeTensor('layers.3.coactivation', putDouble(5, 1000)),
    place: /layers\.3\.coactivation/,
    message: /diagonal/,
  },
  {
    name: 'the co-activation of the tasks does not add up',
    change: changeTensor('layers.1.tasks.coactivation', putDouble(1, 77)),
    place: /layers\.1\.tasks\.coactivation/,
    message: /do not add up/,
  },
  {
    name: 'the co-activation of a task contradicts its counts',
    change: changeTensor('layers.1.tasks.coactivation', putDouble(0, 1)),
    place: /layers\.1\.tasks\.coactivation/,
    message: /diagonal/,
  },
  {
    name: 'a sampled token has a tag that does not exist',
    change: changeTensor('layers.3.sample.tags', (bytes) => bytes.fill(9)),
    place: /layers\.3\.sample\.tags/,
    message: /beyond the 2/,
  },
  {
    name: 'another number of tokens',
    change: changeDescription({ tokens: 11 }),
    place: /layers\.1\.tokens/,
    message: /saw 10 tokens, the file says 11/,
  },
  {
    name: 'a layer that is not there',
    change: changeDescription({ layers: [1, 2, 3] }),
    place: /layers\.2\./,
    message: /missing/,
  },
  { name: 'a layer twice', change: changeDescription({ layers: [1, 1] }), place: /metadata/, message: /twice/ },
  { name: 'a later version', change: changeDescription({ version: 7 }), place: /version/, message: /version 7/ },
  { name: 'a missing key', change: changeDescription({ family: undefined }), place: /family/, message: /not as/ },
  {
    name: 'no JSON',
    change: ({ metadata }) => {
      metadata[Object.keys(metadata)[0]!] = '{';
    },
    place: /metadata/,
    message: /not valid JSON/,
  },
  {
    name: 'another kind of file',
    change: (parts) => {
      parts.metadata = { format: 'pt' };
    },
    place: /metadata/,
    message: /no statistics file/,
  },
];

describe('a damaged statistics file is refused with the place', () => {
  test.each(hostile)('$name', async ({ change, place, message }) => {
    const file = await written();
    const header = await readSafetensorsHeader(file);
    const parts: Parts = {
      tensors: await Promise.all(
        header.tensors.map(async (entry) => ({
          name: entry.name,
          dtype: entry.dtype,
          shape: entry.shape,
          data: await readTensorBytes(entry),
        })),
      ),
      metadata: { ...header.metadata },
    };
    change(parts);
    await writeSafetensors(file, parts.tensors, parts.metadata);
    const error = await failureOf(readStatistics(file));
    expect(error.code).toBe('malformedStatistics');
    expect(error.details.file).toBe(file);
    expect(error.details.place).toMatch(place);
    expect(error.message).toMatch(message);
    expect(error.details.wayOut).toMatch(/calibrate/);
  });

  test('cut short', async () => {
    const file = await written();
    const bytes = await readFile(file);
    await writeFile(file, bytes.subarray(0, bytes.length - 5));
    const error = await failureOf(readStatistics(file));
    expect([error.code, error.details.file]).toEqual(['malformedSafetensors', file]);
  });
});

describe('a routing trace', () => {
  const trace: RoutingTrace = {
    description: {
      version: 1,
      fingerprint: 'abc',
      tags: ['code', 'prose'],
      tokens: 5,
      sequences: 2,
      layers: [{ index: 4, experts: 8, activeExperts: 2 }],
    },
    sequences: [
      { ids: Int32Array.of(3, 4, 5), tag: 1 },
      { ids: Int32Array.of(6, 7), tag: 0 },
    ],
    layers: [
      {
        activeExperts: 2,
        experts: Uint16Array.of(0, 1, 2, 3, 4, 5, 6, 7, 0, 2),
        gates: Float32Array.of(0.5, 0.25, 0.75, 0.125, 1, 0, 0.5, 0.5, 0.25, 0.25),
      },
    ],
  };

  test('comes back as it was written', async () => {
    const file = path.join(await temporaryFolder(), 'trace.safetensors');
    await writeTrace(file, trace);
    expect(await readTrace(file)).toEqual(trace);
  });

  test.each<[string, RoutingTrace, RegExp]>([
    [
      'an expert that does not exist',
      { ...trace, description: { ...trace.description, layers: [{ index: 4, experts: 7, activeExperts: 2 }] } },
      /7 experts only/,
    ],
    [
      'lengths that do not add up',
      { ...trace, sequences: [trace.sequences[0]!, { ids: Int32Array.of(6), tag: 0 }] },
      /add up/,
    ],
    ['a tag that does not exist', { ...trace, description: { ...trace.description, tags: ['code'] } }, /1 tags only/],
  ])('is refused with %s', async (_, broken, message) => {
    const file = path.join(await temporaryFolder(), 'trace.safetensors');
    await writeTrace(file, broken);
    const error = await failureOf(readTrace(file));
    expect(error.code).toBe('malformedStatistics');
    expect(error.message).toMatch(message);
  });
});
