import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { fromFloat32, type FloatDtype } from '../../engine/checkpoint/encodeDtype';
import type { LinearSpec, WeightRounding } from '../../engine/families/specification';
import { halfQuadratic } from '../../engine/methods/quantize/hqq';
import { dequantize } from '../../engine/methods/quantize/quantizedMatrix';
import { roundToNearest } from '../../engine/methods/quantize/roundToNearest';
import { SeededRandom } from '../../engine/numeric/seededRandom';
import { fillStandardNormal } from '../../engine/numeric/standardNormal';
import { readLinear } from '../../engine/transform/readWeight';
import { RoundedParts } from '../../engine/transform/rounding/roundedParts';
import { RoundingPool } from '../../engine/transform/rounding/roundingPool';
import { roundedWhenUsed } from '../../engine/transform/rounding/roundings';
import type { RoundedForm, Rounder } from '../../engine/transform/rounding/roundingTask';
import { roundRows } from '../../engine/transform/rounding/roundRows';
import { failureOf } from '../support/failureOf';
import { buildRoundingProgram } from '../support/roundingProgram';
import { temporaryFolder } from '../support/temporaryFolder';

const group = 64;
/** Rows enough for three tasks: those of 4 MiB begin at multiples of 240 rows. */
const several = { rows: 500, columns: 6656 } as const;
const few = { rows: 20, columns: 256 } as const;
const program = buildRoundingProgram();
const pools: RoundingPool[] = [];

function pool(file = program(), size = 2): RoundingPool {
  const made = new RoundingPool(file, size);
  pools.push(made);
  return made;
}

afterEach(async () => {
  await Promise.all(pools.splice(0).map((each) => each.dispose()));
});

/** A matrix in a file, with what its dtype makes of normal numbers. */
async function storedMatrix(dtype: FloatDtype, size: typeof several | typeof few = several): Promise<LinearSpec> {
  const { rows, columns } = size;
  const values = new Float32Array(rows * columns);
  fillStandardNormal(values, new SeededRandom(1));
  const bytes = fromFloat32(dtype, values);
  const file = path.join(await temporaryFolder(), 'matrix');
  await writeFile(file, bytes);
  const entry = { name: 'm', dtype, shape: [rows, columns], file, byteOffset: 0, byteLength: bytes.byteLength };
  return { weight: { storage: 'plain', entry }, orientation: 'output-major', inputSize: columns, outputSize: rows };
}

function roundedParts(rounding: WeightRounding, forms: readonly RoundedForm[]): RoundedParts {
  const { inputSize: columns, outputSize } = rounding.source;
  const rows = rounding.half === undefined ? outputSize : outputSize / 2;
  return new RoundedParts(roundedWhenUsed(rounding, { name: 'w', rows, columns, group }), forms);
}

/** Every form as a whole, by the given rounder; all tasks are under way at once. */
async function allBytes(parts: RoundedParts, rounder: Pick<Rounder, 'run'>): Promise<Uint8Array[]> {
  const whole = parts.byteLengths.map((length) => new Uint8Array(length));
  const run = async (at: number) => {
    const results = await rounder.run(parts.task(at));
    results.forEach(({ bytes }, form) => whole[form]!.set(bytes, parts.offset(at, form)));
  };
  await Promise.all(Array.from({ length: parts.count }, (_, at) => run(at)));
  return whole;
}

const codes = { form: 'codes' } as const;
const values = { form: 'values', dtype: 'F32', factor: 1 } as const;
const forms: readonly RoundedForm[] = [codes, { form: 'scales', dtype: 'F16' }, values];

describe('threads', () => {
  test.each([
    ['rtn', 'BF16', 4, true],
    ['rtn', 'BF16', 8, true],
    ['rtn', 'F32', 3, true],
    ['rtn', 'BF16', 5, true],
    ['rtn', 'F16', 2, false],
    ['hqq', 'BF16', 4, false],
  ] as const)('give the bytes of one thread, and those of the method: %s, %s, %s bits', async (...format) => {
    const [method, dtype, bits, symmetric] = format;
    const size = method === 'hqq' ? few : several;
    const { rows, columns } = size;
    const source = await storedMatrix(dtype, size);
    const parts = roundedParts({ method, source, bits, symmetric }, forms);
    expect(parts.count > 1).toBe(method === 'rtn');
    const here = await allBytes(parts, { run: roundRows });
    const there = await allBytes(roundedParts({ method, source, bits, symmetric }, forms), pool());
    expect(there.map((bytes, form) => Buffer.compare(bytes, here[form]!))).toEqual([0, 0, 0]);
    // The method itself, on the whole matrix.
    const matrix = { values: await readLinear(source), rows, columns };
    const round = method === 'rtn' ? roundToNearest : halfQuadratic;
    const expected = dequantize(round(matrix, { bits, group, symmetric }));
    expect(Buffer.compare(there[2]!, new Uint8Array(expected.buffer))).toBe(0);
  });

  test('read the rows of gate and up from one matrix', async () => {
    const source = await storedMatrix('BF16');
    const rounding = { method: 'rtn', source, bits: 4, symmetric: true } as const;
    const [whole] = await allBytes(roundedParts(rounding, [codes]), pool());
    const width = several.columns / 2;
    const row = (bytes: Uint8Array, at: number) => bytes.subarray(at * width, (at + 1) * width);
    for (const arrangement of ['concatenated', 'interleaved'] as const) {
      for (const which of ['gate', 'up'] as const) {
        const [found] = await allBytes(roundedParts({ ...rounding, half: { which, arrangement } }, [codes]), pool());
        for (const at of [0, 1, 77, several.rows / 2 - 1]) {
          const second = which === 'up' ? 1 : 0;
          const from = arrangement === 'interleaved' ? 2 * at + second : at + (second * several.rows) / 2;
          expect(Buffer.compare(row(found!, at), row(whole!, from))).toBe(0);
        }
      }
    }
  });

  test('hand their errors over with file, place and way out, and go on', async () => {
    const source = await storedMatrix('BF16');
    const threads = pool();
    const rounding = { method: 'rtn', bits: 4, symmetric: true } as const;
    const broken = roundedParts({ ...rounding, source: inFile(source, '/absent/weights') }, forms);
    expect(await failureOf(threads.run(broken.task(0)))).toMatchObject({
      code: 'fileNotFound',
      message: 'There is no such file.',
      details: { file: '/absent/weights', wayOut: 'Check the path and its permissions.' },
    });
    const sound = roundedParts({ ...rounding, source }, forms);
    const digests = (results: readonly { digest: number }[]) => results.map(({ digest }) => digest);
    expect(digests(await threads.run(sound.task(1)))).toEqual(digests(await roundRows(sound.task(1))));
  });

  test('that end by themselves fail their tasks, and the next task gets another one', async () => {
    const file = path.join(await temporaryFolder(), 'ends.cjs');
    await writeFile(
      file,
      `const port = require('node:worker_threads').parentPort;
      port.on('message', ({ id, task }) => {
        if (task.from > 0) { throw new Error('ends'); }
        if (task.forms.length === 1) { port.postMessage({ id, results: [] }); }
      });`,
    );
    const rounding = { method: 'rtn', source: await storedMatrix('BF16'), bits: 4, symmetric: true } as const;
    const parts = roundedParts(rounding, forms);
    const threads = pool(file, 1);
    const [unanswered, ending] = [0, 1].map((at) => failureOf(threads.run(parts.task(at))));
    expect([(await unanswered!).code, (await ending!).code]).toEqual(['internal', 'internal']);
    expect(await threads.run(roundedParts(rounding, [codes]).task(0))).toEqual([]);
  });

  test('are ended with their tasks', async () => {
    const file = path.join(await temporaryFolder(), 'silent.cjs');
    await writeFile(file, `require('node:worker_threads').parentPort.on('message', () => undefined);`);
    const parts = roundedParts({ method: 'rtn', source: await storedMatrix('BF16'), bits: 4, symmetric: true }, forms);
    const threads = new RoundingPool(file, 1);
    const tasks = [0, 1, 2].map((at) => failureOf(threads.run(parts.task(at))));
    await threads.dispose();
    expect((await Promise.all(tasks)).map(({ code }) => code)).toEqual(['cancelled', 'cancelled', 'cancelled']);
    expect((await failureOf(threads.run(parts.task(0)))).code).toBe('cancelled');
  });
});

function inFile(linear: LinearSpec, file: string): LinearSpec {
  const { weight } = linear;
  return weight.storage === 'plain' ? { ...linear, weight: { ...weight, entry: { ...weight.entry, file } } } : linear;
}
