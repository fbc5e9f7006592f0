import files, { type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { apply } from '../../engine/jobs/apply';
import { quietJob } from '../../engine/measure/jobContext';
import { TunerError } from '../../engine/protocol/errors';

/** What a run of this program does, as JSON in its first argument. */
export interface InterruptedApply {
  readonly checkpoint: string;
  readonly plan: string;
  readonly out: string;
  /** Which of the changes of the file system, from 0, is disturbed; none where absent. */
  readonly at?: number;
  /** Die in the middle of it, or fill the disk just before it. */
  readonly deed?: 'die' | 'fill';
}

/** What it prints when it lives to the end. */
export interface ApplyReport {
  /** Changes of the file system beside the source, in order. */
  readonly changes: readonly string[];
  readonly error?: { readonly code: string; readonly wayOut: string | undefined };
  /** Names in the folder around the artefact afterwards. */
  readonly left: readonly string[];
}

const request = JSON.parse(process.argv[2]!) as InterruptedApply;
const around = path.dirname(request.out);
const changes: string[] = [];

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way; nothing more may happen.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  throw new Error('still alive');
}

/** Counts a change; disturbs the one that was asked for. */
async function change(name: string, half: () => Promise<unknown>): Promise<void> {
  changes.push(name);
  if (changes.length - 1 !== request.at) {
    return;
  }
  if (request.deed === 'fill') {
    await fillDisk();
  } else {
    await half();
    die();
  }
}

const original = { ...files };

async function fillDisk(): Promise<void> {
  const filler = await original.open(path.join(around, 'filler'), 'w');
  for (let size = 2 ** 20; size >= 512; size /= 2) {
    try {
      for (;;) {
        await filler.write(Buffer.alloc(size, 1));
      }
    } catch {
      // Full for this size; smaller pieces may still fit.
    }
  }
  await filler.close();
}

const isBeside = (place: unknown) => typeof place === 'string' && place.startsWith(around);
const nothing = () => Promise.resolve();

for (const name of ['mkdir', 'rename', 'rm', 'link', 'copyFile', 'writeFile'] as const) {
  const method = original[name] as (...words: unknown[]) => Promise<unknown>;
  Object.assign(files, {
    [name]: async (...words: unknown[]) => {
      if (words.slice(0, 2).some(isBeside)) {
        await change(name, nothing);
      }
      return method(...words);
    },
  });
}

files.open = async (...words: Parameters<typeof files.open>) => {
  const handle = await original.open(...words);
  return isBeside(words[0]) ? watched(handle) : handle;
};

type WritePart = (bytes: Uint8Array, from: number, length: number, at: number) => Promise<unknown>;

/** The same handle, whose writes and flushes count. */
function watched(handle: FileHandle): FileHandle {
  const write = handle.write.bind(handle) as unknown as WritePart;
  const writeFile = handle.writeFile.bind(handle);
  const sync = handle.sync.bind(handle);
  return Object.assign(handle, {
    write: async (bytes: Uint8Array, from: number, length: number, at: number) => {
      await change('write', () => write(bytes, from, Math.floor(length / 2), at));
      return write(bytes, from, length, at);
    },
    writeFile: async (content: string, encoding: BufferEncoding) => {
      await change('write text', () => writeFile(content.slice(0, content.length / 2), encoding));
      return writeFile(content, encoding);
    },
    sync: async () => {
      await change('sync', nothing);
      return sync();
    },
  });
}

async function run(): Promise<void> {
  const { checkpoint, plan, out } = request;
  let error: ApplyReport['error'];
  try {
    await apply({ checkpoint, plan, target: 'huggingface', out }, quietJob());
  } catch (caught) {
    if (!(caught instanceof TunerError)) {
      throw caught;
    }
    error = { code: caught.code, wayOut: caught.details.wayOut };
  }
  const left = await original.readdir(around);
  const report: ApplyReport = { changes, left, ...(error === undefined ? {} : { error }) };
  process.stdout.write(JSON.stringify(report));
}

void run();
