import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile, lstat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assertPlanFits, lockedLayers, readPlan, updatePlan, type PlanTarget } from '../../engine/jobs/planFile';
import { TunerError } from '../../engine/protocol/errors';
import type { Plan } from '../../engine/protocol/plan';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'plan-'));
  file = path.join(folder, 'small.moeplan.json');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function failure(promise: Promise<unknown>): Promise<TunerError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!TunerError.is(error)) {
    throw new Error(`expected a TunerError, got ${String(error)}`);
  }
  return error;
}

async function readFailure(text: string | Uint8Array): Promise<TunerError> {
  await writeFile(file, text);
  return failure(readPlan(file));
}

describe('readPlan', () => {
  it('tolerates comments and trailing commas', async () => {
    await writeFile(file, '// mine\n{ "version": 1, /* last two pinned */ "activeExperts": [2, 4, 4,], }\n');
    expect(await readPlan(file)).toEqual({ version: 1, activeExperts: [2, 4, 4] });
  });

  it.each([
    ['broken syntax', '{\n  "version": 1,\n  "activeExperts": [1, 2\n}', 'line 4, column 1', 'malformed'],
    [
      'an unknown key',
      '{\n  "version": 1,\n  "activExperts": [1]\n}',
      'activExperts (line 3, column 3)',
      'no such key',
    ],
    ['an unknown inner key', '{ "source": {} }', 'source.checkpoint (line 1, column 3)', 'schema'],
    ['a wrong item', '{\n "activeExperts": [4,\n  0, 2]\n}', 'activeExperts[1] (line 3, column 3)', 'schema'],
    ['a fraction', '{ "activeExperts": [1.5] }', 'activeExperts[0] (line 1, column 21)', 'schema'],
    ['another version', '{ "version": 7 }', 'version (line 1, column 3)', 'schema'],
    ['a root that is no object', '[1]', 'line 1, column 1', 'schema'],
    ['a duplicate key', '{ "notes": "a",\n  "notes": "b" }', 'notes (line 2, column 3)', 'twice'],
    ['an empty file', '', 'line 1, column 1', 'malformed'],
  ])('names the place of %s', async (_name, text, place, message) => {
    const error = await readFailure(text);
    expect([error.code, error.details.file, error.details.place]).toEqual(['malformedPlan', file, place]);
    expect(error.message).toContain(message);
    expect(error.details.wayOut).toBeTruthy();
  });

  it('refuses nesting that would exhaust the stack, and bytes that are not text', async () => {
    expect((await readFailure('['.repeat(200000))).code).toBe('malformedPlan');
    expect((await readFailure(new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]))).code).toBe('malformedPlan');
  });

  it('says when there is no such file', async () => {
    expect((await failure(readPlan(path.join(folder, 'none.moeplan.json')))).code).toBe('fileNotFound');
    expect((await failure(readPlan(folder))).code).toBe('fileNotFound');
  });
});

describe('assertPlanFits', () => {
  const target: PlanTarget = { family: 'olmoe', fingerprint: 'f1', moeLayers: [1, 2, 5], expertsPerLayer: [8, 8, 4] };
  const source = { checkpoint: 'small', family: 'olmoe', fingerprint: 'f1', experts: 8, activeExperts: 4 };
  const check = (plan: Partial<Plan>) => (): void => assertPlanFits({ version: 1, ...plan }, target, '/p.moeplan.json');

  it('accepts what fits, also without a source or without budgets', () => {
    expect(check({ source, activeExperts: [4, 8, 4] })).not.toThrow();
    expect(check({ activeExperts: [1, 1, 1] })).not.toThrow();
    expect(check({})).not.toThrow();
  });

  it.each([
    ['another family', { source: { ...source, family: 'mixtral' } }, 'planForAnotherCheckpoint', 'source.family'],
    ['other weights', { source: { ...source, fingerprint: 'f2' } }, 'planForAnotherCheckpoint', 'source.fingerprint'],
    ['a layer too few', { activeExperts: [4, 4] }, 'malformedPlan', 'activeExperts'],
    ['k above the experts of its layer', { activeExperts: [8, 8, 5] }, 'malformedPlan', 'activeExperts[2]'],
  ])('refuses %s', async (_name, plan, code, place) => {
    const error = await failure(Promise.resolve().then(check(plan)));
    expect([error.code, error.details.place, error.details.file]).toEqual([code, place, '/p.moeplan.json']);
  });
});

describe('updatePlan', () => {
  const budget = { objective: 'lexi', solver: 'exact', total: 6, predicted: 0.25, samples: 16384, seed: 0 };

  it('creates a readable file with activeExperts on one line', async () => {
    const plan = await updatePlan(file, { activeExperts: [1, 2, 3], budget });
    expect(await readFile(file, 'utf8')).toBe(
      `{
  "version": 1,
  "activeExperts": [1, 2, 3],
  "budget": {
    "objective": "lexi",
    "solver": "exact",
    "total": 6,
    "predicted": 0.25,
    "samples": 16384,
    "seed": 0
  }
}
`,
    );
    expect(plan).toEqual(await readPlan(file));
    expect(await readdir(folder)).toEqual([path.basename(file)]);
  });

  it('changes only what changed: comments, order, indentation, line ends and equal values stay', async () => {
    await writeFile(
      file,
      [
        '// plan of the team',
        '{',
        '\t"activeExperts": [4,4,4], // uniform for now',
        '\t"budget": {',
        '\t\t"seed": 3, // do not change',
        '\t\t"objective": "uniform",',
        '\t\t"solver": "exact",',
        '\t\t"samples": 1024,',
        '\t\t"total": 12,',
        '\t\t"predicted": null',
        '\t},',
        '\t"version": 1 // format',
        '}',
        '',
      ].join('\r\n'),
    );
    await updatePlan(file, {
      activeExperts: [2, 4, 4],
      budget: { objective: 'lexi', solver: 'exact', total: 10, predicted: 0.5, seed: 3 },
      notes: 'tried "lexi"',
    });
    expect((await readFile(file, 'utf8')).split('\r\n')).toEqual([
      '// plan of the team',
      '{',
      '\t"activeExperts": [2, 4, 4], // uniform for now',
      '\t"budget": {',
      '\t\t"seed": 3, // do not change',
      '\t\t"objective": "lexi",',
      '\t\t"solver": "exact",',
      '\t\t"total": 10,',
      '\t\t"predicted": 0.5',
      '\t},',
      '\t"version": 1, // format',
      '\t"notes": "tried \\"lexi\\""',
      '}',
      '',
    ]);
  });

  it('keeps comments inside a commented array of unchanged length', async () => {
    await writeFile(file, '{\n  "activeExperts": [\n    4, // first\n    2, // last, pinned\n  ],\n}\n');
    await updatePlan(file, { activeExperts: [3, 2] });
    expect(await readFile(file, 'utf8')).toBe(
      '{\n  "activeExperts": [\n    3, // first\n    2, // last, pinned\n  ],\n}\n',
    );
    await updatePlan(file, { activeExperts: [1, 2, 3] });
    expect(await readFile(file, 'utf8')).toBe('{\n  "activeExperts": [1, 2, 3],\n}\n');
  });

  it.each([
    ['{}', '{\n  "notes": "n"\n}'],
    ['{ "version": 1 }', '{ "version": 1, "notes": "n" }'],
    ['{"version":1,}', '{"version":1, "notes": "n"}'],
    ['{\n  "version": 1\n  // end, really\n}', '{\n  "version": 1,\n  // end, really\n  "notes": "n"\n}'],
    ['{\n    // only a comment\n}', '{\n    // only a comment\n  "notes": "n"\n}'],
    ['{\n  "version": 1, // , \n}', '{\n  "version": 1, // ,\n  "notes": "n" \n}'],
  ])('appends a key to %j', async (before, after) => {
    await writeFile(file, before);
    await updatePlan(file, { notes: 'n' });
    expect(await readFile(file, 'utf8')).toBe(after);
    expect((await readPlan(file)).notes).toBe('n');
  });

  it('deletes keys given as undefined', async () => {
    await writeFile(file, '{\n  "version": 1,\n  "notes": "old", // why\n  "activeExperts": [1]\n}\n');
    expect(await updatePlan(file, { notes: undefined })).toEqual({ version: 1, activeExperts: [1] });
    expect(await readPlan(file)).toEqual({ version: 1, activeExperts: [1] });
  });

  it('does not touch the file when nothing changes', async () => {
    await writeFile(file, '{"activeExperts":[1,2]}');
    const before = await stat(file, { bigint: true });
    await updatePlan(file, { activeExperts: [1, 2] });
    const after = await stat(file, { bigint: true });
    expect([after.ino, after.mtimeNs]).toEqual([before.ino, before.mtimeNs]);
  });

  it('refuses to overwrite a file that is not a valid plan', async () => {
    for (const text of ['{ "activeExperts": [1', '{ "name": "another kind of file" }', '[]']) {
      await writeFile(file, text);
      expect((await failure(updatePlan(file, { notes: 'n' }))).code).toBe('malformedPlan');
      expect(await readFile(file, 'utf8')).toBe(text);
    }
    expect(await readdir(folder)).toEqual([path.basename(file)]);
  });

  it('writes nothing when the change itself is not a valid plan', async () => {
    await writeFile(file, '{"activeExperts":[1,2]}');
    await failure(updatePlan(file, { activeExperts: [0, 2] }));
    expect(await readFile(file, 'utf8')).toBe('{"activeExperts":[1,2]}');
  });

  it('says why it cannot write', async () => {
    const error = await failure(updatePlan(path.join(folder, 'none', 'a.moeplan.json'), { notes: 'n' }));
    expect(error.code).toBe('writeFailed');
  });

  it('writes through a symbolic link', async () => {
    const link = path.join(folder, 'link.moeplan.json');
    await writeFile(file, '{}');
    await symlink(file, link);
    await updatePlan(link, { notes: 'n' });
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect((await readPlan(file)).notes).toBe('n');
  });
});

describe('lockedLayers', () => {
  const target: PlanTarget = { family: 'olmoe', fingerprint: 'f00d', moeLayers: [1, 3, 4], expertsPerLayer: [8, 8, 8] };

  it('are bounded to the numbers that the plan gives them, by decoder layer', async () => {
    await writeFile(file, '{ "activeExperts": [2, 4, 1], "locked": [3, 4, 7] }');
    expect([...(await lockedLayers(file, target))]).toEqual([
      [3, { minimum: 4, maximum: 4 }],
      [4, { minimum: 1, maximum: 1 }],
    ]);
  });

  it('are none in a plan that does not exist yet, or that has no numbers to keep', async () => {
    expect((await lockedLayers(file, target)).size).toBe(0);
    await writeFile(file, '{ "locked": [3] }');
    expect((await lockedLayers(file, target)).size).toBe(0);
  });
});
