import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { thisPlatform } from '../../scripts/package.mjs';
import { readZip } from '../../scripts/support/zip.mjs';
import { vsixUnderTest } from '../support/vsix';

interface ShippedManifest {
  readonly main: string;
  readonly icon: string;
  readonly dependencies: Record<string, string>;
  readonly scripts?: unknown;
  readonly devDependencies?: unknown;
}

describe('the package', () => {
  const entries = new Map(readZip(vsixUnderTest()).map((entry) => [entry.name.replace(/^extension\//, ''), entry]));
  const names = [...entries.keys()];
  const text = (name: string): string => entries.get(name)!.read().toString('utf8');
  let unpacked: string;

  beforeAll(() => {
    unpacked = mkdtempSync(join(tmpdir(), 'moe-tuner-unpacked-'));
    for (const [name, entry] of entries) {
      mkdirSync(dirname(join(unpacked, name)), { recursive: true });
      writeFileSync(join(unpacked, name), entry.read());
    }
  });

  afterAll(() => rmSync(unpacked, { recursive: true, force: true }));

  it('holds the bundles, the words, the sample and nothing of development', () => {
    expect(names).toEqual(
      expect.arrayContaining([
        ...['dist/extension.js', 'dist/engine.js', 'dist/probe.js', 'dist/cli.js', 'dist/webviews/dashboard.js'],
        ...['dist/engine.mjs', 'dist/probe.mjs', 'dist/roundingWorker.mjs', 'dist/cli.mjs'],
        ...['package.json', 'package.nls.json', 'readme.md', 'changelog.md', 'LICENSE.txt'],
        ...['media/sample/config.json', 'media/sample/model.safetensors', 'media/sample/tokenizer.json'],
      ]),
    );
    const known =
      /^(dist|media|node_modules)\/|^(package(\.nls)?\.json|THIRD_PARTY_NOTICES\.txt|readme\.md|changelog\.md|LICENSE\.txt)$/;
    expect(names.filter((name) => !known.test(name)).sort()).toEqual(['[Content_Types].xml', 'extension.vsixmanifest']);
    expect(names.filter((name) => /\.(map|ts|tsx)$|^dist\/test\//.test(name))).toEqual([]);
  });

  it('has one dependency, with the binaries of one platform', () => {
    const manifest = JSON.parse(text('package.json')) as ShippedManifest;
    expect(Object.keys(manifest.dependencies)).toEqual(['onnxruntime-node']);
    expect(manifest.scripts).toBeUndefined();
    expect(manifest.devDependencies).toBeUndefined();
    const modules = names.filter((name) => name.startsWith('node_modules/')).map((name) => name.split('/')[1]);
    expect([...new Set(modules)].sort()).toEqual(['onnxruntime-common', 'onnxruntime-node']);
    const platforms = names
      .filter((name) => name.includes('/napi-v6/'))
      .map((name) => name.split('/').slice(4, 6).join('-'));
    expect([...new Set(platforms)]).toEqual([thisPlatform]);
    expect(statSync(vsixUnderTest()).size).toBeLessThan(60 * 2 ** 20);
  });

  it('keeps onnxruntime out of the extension host', () => {
    expect(text('dist/extension.js')).not.toContain('onnxruntime');
    const parts = names.filter((name) => name.startsWith('dist/chunks/'));
    expect(parts.filter((name) => text(name).includes('onnxruntime-node'))).not.toEqual([]);
  });

  it('has every file that the manifest points at', () => {
    const manifest = text('package.json');
    const paths = [...manifest.matchAll(/"(?:\.\/)?((?:dist|media)\/[^"*]+\.\w+)"/g)].map(([, path]) => path!);
    expect(paths.length).toBeGreaterThan(1);
    expect(paths.filter((path) => !names.includes(path))).toEqual([]);
  });

  it('runs without the tree it was built in', () => {
    const output = execFileSync(
      process.execPath,
      [join(unpacked, 'dist/cli.js'), 'inspect', join(unpacked, 'media/sample'), '--json'],
      { cwd: unpacked, encoding: 'utf8' },
    );
    expect(JSON.parse(output)).toMatchObject({ family: expect.stringMatching(/qwen2/i) });
    const doctor = execFileSync(
      process.execPath,
      [join(unpacked, 'dist/cli.js'), 'doctor', '--provider', 'cpu', '--json'],
      {
        cwd: unpacked,
        encoding: 'utf8',
      },
    );
    expect(JSON.parse(doctor)).toMatchObject({ selected: 'cpu' });
  });
});
