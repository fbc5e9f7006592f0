import { open, readdir, readFile, writeFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readSafetensorsHeader } from '../../engine/checkpoint/safetensorsHeader';
import { diskOutput, type ArtefactOutput } from '../../engine/export/artefactOutput';
import { apply } from '../../engine/jobs/apply';
import { quietJob } from '../../engine/measure/jobContext';
import type { TargetName } from '../../engine/protocol/apply';
import { useRoundingProgram } from '../../engine/transform/rounding/roundingPool';
import { failureOf } from '../support/failureOf';
import { readGguf } from '../support/ggufReader';
import { buildRoundingProgram } from '../support/roundingProgram';
import { temporaryFolder } from '../support/temporaryFolder';

const checkpoint = path.resolve(import.meta.dirname, '../golden/families/qwen2_moe');
const program = buildRoundingProgram();
/** Where temporary files go, by system. */
const temporaryVariables = ['TMPDIR', 'TEMP', 'TMP'] as const;

beforeEach(() => useRoundingProgram(program()));
afterEach(() => useRoundingProgram(undefined));

async function prepared(section: object = {}) {
  const around = await temporaryFolder();
  const plans = await temporaryFolder();
  const plan = path.join(plans, 'four.moeplan.json');
  const { num_hidden_layers: layers } = JSON.parse(await readFile(path.join(checkpoint, 'config.json'), 'utf8')) as {
    num_hidden_layers: number;
  };
  const quantize = { method: 'rtn', group: 32, symmetric: true, scope: 'experts', seed: 0, ...section };
  await writeFile(
    plan,
    JSON.stringify({ version: 1, quantize: { ...quantize, layers: Array<number>(layers).fill(4) } }),
  );
  const out = path.join(around, 'written');
  return { around, out, params: (target: TargetName) => ({ checkpoint, plan, target, out }) };
}

/** Runs something where no temporary file can be made. */
async function withoutTemporaryFiles<Result>(run: () => Promise<Result>): Promise<Result> {
  const before = temporaryVariables.map((name) => process.env[name]);
  temporaryVariables.forEach((name) => (process.env[name] = path.join(checkpoint, 'absent')));
  try {
    return await run();
  } finally {
    temporaryVariables.forEach((name, at) => {
      if (before[at] === undefined) {
        // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- an empty variable is not an absent one
        delete process.env[name];
      } else {
        process.env[name] = before[at];
      }
    });
  }
}

/** The disk, with handles of streamed files that a test changes. */
function disturbed(disturb: (handle: FileHandle) => void): ArtefactOutput {
  return {
    ...diskOutput,
    stream: (content, file, written) =>
      diskOutput.stream(
        {
          ...content,
          stream: (handle, done) => {
            disturb(handle);
            return content.stream(handle, done);
          },
        },
        file,
        written,
      ),
  };
}

type WritePart = (bytes: Uint8Array, from: number, length: number, at: number) => Promise<{ bytesWritten: number }>;

/** Changes what the n-th write of a file does. */
function atWrite(wanted: number, deed: (write: WritePart, ...part: Parameters<WritePart>) => ReturnType<WritePart>) {
  let count = 0;
  return disturbed((handle) => {
    const write = handle.write.bind(handle) as unknown as WritePart;
    Object.assign(handle, {
      write: (...part: Parameters<WritePart>) => {
        count += 1;
        return count === wanted ? deed(write, ...part) : write(...part);
      },
    });
  });
}

describe('weights that are rounded while they are written', () => {
  test.each(['compressed-tensors', 'llama.cpp'] as const)('need no temporary file for %s', async (target) => {
    const { out, params } = await prepared();
    const { files } = await withoutTemporaryFiles(() => apply(params(target), quietJob()));
    expect((await readdir(out)).sort()).toEqual(files.map(({ name }) => name).sort());
    // The target that runs them in a graph does: the place they would go to is one that cannot be written.
    const other = await prepared();
    await expect(withoutTemporaryFiles(() => apply(other.params('onnx'), quietJob()))).rejects.toThrow(/absent/);
  });

  test.each(['compressed-tensors', 'llama.cpp', 'huggingface'] as const)(
    'are the same to the byte from threads and from one thread: %s',
    async (target) => {
      for (const section of [{}, { symmetric: false }, { method: 'hqq', symmetric: false }]) {
        const many = await prepared(section);
        await apply(many.params(target), quietJob());
        useRoundingProgram(undefined);
        const one = await prepared(section);
        await apply(one.params(target), quietJob());
        useRoundingProgram(program());
        const names = (await readdir(one.out)).filter((name) => /safetensors$|gguf$/.test(name));
        expect(names.length).toBeGreaterThan(0);
        for (const name of names) {
          const [left, right] = await Promise.all([many, one].map(({ out }) => readFile(path.join(out, name))));
          expect(Buffer.compare(left!, right!), name).toBe(0);
        }
      }
    },
  );

  test('that no thread can round leave nothing behind', async () => {
    const { around, params } = await prepared();
    const file = path.join(await temporaryFolder(), 'fails.cjs');
    await writeFile(
      file,
      `const port = require('node:worker_threads').parentPort;
      port.on('message', ({ id }) => {
        port.postMessage({ id, failure: { code: 'outOfMemory', message: 'None is left.', details: {} } });
      });`,
    );
    useRoundingProgram(file);
    const failure = await failureOf(apply(params('compressed-tensors'), quietJob()));
    expect([failure.code, failure.message]).toEqual(['outOfMemory', 'None is left.']);
    expect(await readdir(around)).toEqual([]);
  });

  test.each([2, 5, 9])('leave nothing behind when they are cancelled at write %s', async (wanted) => {
    const { around, params } = await prepared();
    const abort = new AbortController();
    const output = atWrite(wanted, (write, ...part) => {
      abort.abort();
      return write(...part);
    });
    const failure = await failureOf(apply(params('compressed-tensors'), quietJob(abort.signal), { output }));
    expect([failure.code, abort.signal.aborted]).toEqual(['cancelled', true]);
    expect(await readdir(around)).toEqual([]);
  });

  test.each([2, 5, 9])('leave nothing behind when the disk is full at write %s', async (wanted) => {
    const { around, params } = await prepared();
    const output = atWrite(wanted, () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })));
    const failure = await failureOf(apply(params('compressed-tensors'), quietJob(), { output }));
    expect([failure.code, failure.details.wayOut]).toEqual(['writeFailed', expect.stringMatching(/disk is full/)]);
    expect(await readdir(around)).toEqual([]);
  });

  test.each(['compressed-tensors', 'llama.cpp'] as const)(
    'are read back for %s: one wrong bit is found',
    async (target) => {
      const { around, params } = await prepared();
      const output: ArtefactOutput = {
        ...diskOutput,
        stream: async (content, file, written) => {
          const flush = await diskOutput.stream(content, file, written);
          return async () => {
            await flush();
            await flipBit(file, target);
          };
        },
      };
      const failure = await failureOf(apply(params(target), quietJob(), { output }));
      expect([failure.code, failure.details.place]).toEqual(['writeFailed', expect.stringMatching(/packed|_exps/)]);
      expect(await readdir(around)).toEqual([]);
    },
  );
});

/** Flips a bit in the middle of the first tensor of codes, or of all experts of a projection. */
async function flipBit(file: string, target: TargetName): Promise<void> {
  const at = target === 'llama.cpp' ? middleOfExperts(file) : await middleOfCodes(file);
  const handle = await open(file, 'r+');
  try {
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, at);
    await handle.write(Uint8Array.of(buffer[0]! ^ 1), 0, 1, at);
  } finally {
    await handle.close();
  }
}

function middleOfExperts(file: string): number {
  const { data } = readGguf(file).tensors.get('blk.0.ffn_up_exps.weight')!;
  return data.byteOffset + Math.floor(data.length / 2);
}

async function middleOfCodes(file: string): Promise<number> {
  const { tensors } = await readSafetensorsHeader(file);
  const { byteOffset, byteLength } = tensors.find(({ name }) => name.endsWith('weight_packed'))!;
  return byteOffset + Math.floor(byteLength / 2);
}
