import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomic } from '../checkpoint/atomicFile';
import { toTunerError } from '../protocol/errors';

/** Kinds of finished results that are kept per checkpoint. */
export const resultKinds = [
  'profile',
  'budget',
  'evaluation',
  'calibration',
  'scores',
  'pruning',
  'merging',
  'quantization',
] as const;
export type ResultKind = (typeof resultKinds)[number];

/** Newest results of one kind and checkpoint that are kept. */
const keptResults = 50;

/** What happened to a write that could not be made: the job goes on, the person is told. */
export type CacheWarning = (message: string) => void;

/**
 * Measurements on disk, outside the checkpoint: per-layer values under a hash of everything they depend on, so that an
 * interrupted job continues, and finished results per checkpoint, so that they stay. Writes are atomic; a full disk
 * costs the cache entry, never the job.
 */
export class ResultCache {
  private warned = false;

  constructor(
    private readonly directory: string,
    private readonly limitBytes: number,
    private readonly warn: CacheWarning = () => undefined,
  ) {}

  /** Hash of any JSON value, as a cache key. */
  static key(parts: unknown): string {
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  }

  /** The value stored under a key; undefined when there is none or it cannot be read. */
  async readLayer(key: string): Promise<unknown> {
    return readJson(this.layerFile(key));
  }

  async writeLayer(key: string, value: unknown): Promise<void> {
    await this.write(this.layerFile(key), value);
  }

  /**
   * Keeps a large measurement as a file of its own, which `write` makes at the path it is given; a failed write costs the entry only.
   * @param name what the file is, with its extension: one key may have several
   */
  async keepFile(key: string, name: string, write: (file: string) => Promise<void>): Promise<void> {
    const file = this.filePath(key, name);
    try {
      await mkdir(path.dirname(file), { recursive: true });
      await write(file);
    } catch (error) {
      this.warnOnce(`Results cannot be kept in ${this.directory} and are lost when this job ends.`, error);
    }
  }

  /** Where {@link keepFile} keeps a file; nothing need be there. */
  filePath(key: string, name: string): string {
    return path.join(this.directory, 'layers', key.slice(0, 2), `${key}.${name}`);
  }

  async removeFile(key: string, name: string): Promise<void> {
    await this.remove(this.filePath(key, name));
  }

  /** Keeps a finished result; the newest come last in {@link results}. */
  async addResult(fingerprint: string, kind: ResultKind, value: unknown): Promise<void> {
    const folder = this.resultFolder(fingerprint);
    const stamp = `${Date.now()}`.padStart(15, '0');
    const suffix = ResultCache.key(value).slice(0, 8);
    await this.write(path.join(folder, `${kind}-${stamp}-${suffix}.json`), value);
    const names = await namesIn(folder);
    const ofKind = names.filter((name) => name.startsWith(`${kind}-`)).sort();
    await Promise.all(ofKind.slice(0, -keptResults).map((name) => this.remove(path.join(folder, name))));
    await this.trim();
  }

  /** Finished results of one kind, oldest first. */
  async results(fingerprint: string, kind: ResultKind): Promise<unknown[]> {
    const folder = this.resultFolder(fingerprint);
    const names = (await namesIn(folder)).filter((name) => name.startsWith(`${kind}-`)).sort();
    const values = await Promise.all(names.map((name) => readJson(path.join(folder, name))));
    return values.filter((value) => value !== undefined);
  }

  /** Removes everything and says how many bytes that freed. */
  async clear(): Promise<number> {
    const files = await filesBelow(this.directory);
    await Promise.all(files.map(({ file }) => rm(file, { force: true })));
    return files.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Removes the entries not used for longest until the limit is kept. */
  async trim(): Promise<void> {
    const files = await filesBelow(this.directory);
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const file of files.sort((left, right) => left.modified - right.modified)) {
      if (bytes <= this.limitBytes) {
        return;
      }
      await this.remove(file.file);
      bytes -= file.bytes;
    }
  }

  private async write(file: string, value: unknown): Promise<void> {
    try {
      await mkdir(path.dirname(file), { recursive: true });
      await writeFileAtomic(file, JSON.stringify(value));
    } catch (error) {
      this.warnOnce(`Results cannot be kept in ${this.directory} and are lost when this job ends.`, error);
    }
  }

  private async remove(file: string): Promise<void> {
    try {
      await rm(file, { force: true });
    } catch (error) {
      this.warnOnce(`Old results cannot be removed from ${this.directory}.`, error);
    }
  }

  /** A disk that refuses one entry refuses the next as well: one sentence says it. */
  private warnOnce(message: string, error: unknown): void {
    if (!this.warned) {
      this.warned = true;
      this.warn(`${message} ${toTunerError(error).describe()}`);
    }
  }

  private layerFile(key: string): string {
    return path.join(this.directory, 'layers', key.slice(0, 2), `${key}.json`);
  }

  private resultFolder(fingerprint: string): string {
    return path.join(this.directory, 'results', fingerprint);
  }
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch {
    return undefined;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}

async function filesBelow(folder: string): Promise<{ file: string; bytes: number; modified: number }[]> {
  const found: { file: string; bytes: number; modified: number }[] = [];
  for (const part of ['layers', 'results']) {
    const names = await readdir(path.join(folder, part), { recursive: true }).catch(() => [] as string[]);
    for (const name of names) {
      const file = path.join(folder, part, name);
      const state = await stat(file).catch(() => undefined);
      if (state?.isFile()) {
        found.push({ file, bytes: state.size, modified: state.mtimeMs });
      }
    }
  }
  return found;
}
