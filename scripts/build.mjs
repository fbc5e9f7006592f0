import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build as bundle, context } from 'esbuild';
import { root } from './support/paths.mjs';

/**
 * @typedef {object} BuildOptions
 * @property {string} [outdir] Folder to write to; default dist.
 * @property {boolean} [production] Minified and without source maps, as it ships.
 * @property {boolean} [strict] A missing source file is an error instead of a warning.
 * @property {boolean} [tests] Bundle the integration tests as well; default true.
 *
 * @typedef {object} Target
 * @property {readonly string[]} sources
 * @property {string} output Path of the bundle below the output folder; empty for several bundles in that folder.
 * @property {import('esbuild').BuildOptions} options
 */

/** Bundled modules are CommonJS, where import.meta does not exist: its url is made from __filename. */
const importMetaUrl = {
  define: { 'import.meta.url': 'bundledModuleUrl' },
  banner: "const bundledModuleUrl = require('node:url').pathToFileURL(__filename).href;",
};

/** @type {import('esbuild').BuildOptions} */
const node = {
  platform: 'node',
  target: 'node20',
  // Prefer ES modules where a package offers both: they can be tree-shaken.
  mainFields: ['module', 'main'],
  // Names of classes and functions appear in error reports and logs.
  keepNames: true,
};

/** @type {import('esbuild').BuildOptions} */
const commonjs = {
  ...node,
  format: 'cjs',
  define: importMetaUrl.define,
  banner: { js: importMetaUrl.banner },
};

/** Packages that are CommonJS ask for modules of Node with require, which ES modules lack. */
const requireOfModules =
  "import { createRequire as createRequireOfBundle } from 'node:module';const require = createRequireOfBundle(import.meta.url);";

/** @type {import('esbuild').BuildOptions} */
const browser = { platform: 'browser', target: 'chrome120', format: 'iife', minify: true };

/** Programs of the engine: source, name, and the first line of the script that starts it. */
const programs = [
  { source: 'engine/server.ts', name: 'engine', start: '' },
  { source: 'engine/probe.ts', name: 'probe', start: '' },
  { source: 'engine/roundingWorker.ts', name: 'roundingWorker', start: '' },
  { source: 'engine/cli.ts', name: 'cli', start: '#!/usr/bin/env node\n' },
];

/** Folder of the parts that programs share, or that they load only when they need them. */
const chunks = 'chunks';

/** A program that runs while it is built anew may still load parts of its own build. */
const keptChunksMilliseconds = 3600 * 1000;

/**
 * One bundle for each program would be read and compiled whole at every start; parts load with the command that needs them.
 * @type {Target}
 */
export const engineTarget = {
  sources: programs.map(({ source }) => source),
  output: '',
  options: {
    ...node,
    format: 'esm',
    splitting: true,
    entryNames: '[name]',
    chunkNames: `${chunks}/[name]-[hash]`,
    outExtension: { '.js': '.mjs' },
    entryPoints: programs.map(({ source, name }) => ({ in: source, out: name })),
    external: ['onnxruntime-node'],
    banner: { js: requireOfModules },
  },
};

/** @type {readonly Target[]} */
const targets = [
  { sources: ['extension/extension.ts'], output: 'extension.js', options: { ...commonjs, external: ['vscode'] } },
  engineTarget,
  { sources: ['webviews/dashboard/main.ts'], output: 'webviews/dashboard.js', options: browser },
  { sources: ['webviews/plan-editor/main.ts'], output: 'webviews/planEditor.js', options: browser },
  { sources: ['webviews/playground/main.ts'], output: 'webviews/playground.js', options: browser },
];

/** @returns {Target[]} One bundle for each file in test/integration, as Mocha loads them one by one. */
function integrationTargets() {
  const folder = 'test/integration';
  if (!existsSync(join(root, folder))) {
    return [{ sources: [`${folder}/index.ts`], output: 'test/integration/index.js', options: commonjs }];
  }
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({
      sources: [`${folder}/${name}`],
      output: `test/integration/${name.replace(/\.ts$/, '.js')}`,
      options: { ...commonjs, external: ['vscode', 'mocha', 'onnxruntime-node'] },
    }));
}

/**
 * @param {BuildOptions} options
 * @returns {{ target: Target, settings: import('esbuild').BuildOptions }[]}
 */
function plan(options) {
  const outdir = options.outdir ?? join(root, 'dist');
  const wanted = [...targets, ...(options.tests === false ? [] : integrationTargets())];
  const missing = wanted.filter(({ sources }) => !sources.every((source) => existsSync(join(root, source))));
  if (missing.length > 0) {
    const list = missing.flatMap(({ sources }) => sources).join(', ');
    if (options.strict) {
      throw new Error(`Cannot build: ${list} missing.`);
    }
    console.warn(`Left out, source missing: ${list}`);
  }
  return wanted
    .filter((target) => !missing.includes(target))
    .map((target) => ({
      target,
      settings: {
        entryPoints: [...target.sources],
        ...(target.output === '' ? { outdir } : { outfile: join(outdir, target.output) }),
        ...target.options,
        absWorkingDir: root,
        bundle: true,
        sourcemap: options.production ? false : 'linked',
        minify: options.production ?? target.options.minify ?? false,
        legalComments: 'none',
        logLevel: 'warning',
      },
    }));
}

/**
 * @param {BuildOptions} [options]
 * @returns {Promise<string[]>} Every source file that went into a bundle, relative to the root.
 */
export async function build(options = {}) {
  const outdir = options.outdir ?? join(root, 'dist');
  // Bundles of deleted tests must not run again.
  rmSync(join(outdir, 'test'), { recursive: true, force: true });
  const results = await Promise.all(plan(options).map(({ settings }) => bundle({ ...settings, metafile: true })));
  writeStarts(outdir);
  const written = new Set(
    results.flatMap(({ metafile }) => Object.keys(metafile.outputs).map((path) => basename(path))),
  );
  for (const name of readdirSync(join(outdir, chunks)).filter((each) => !written.has(each))) {
    const old = join(outdir, chunks, name);
    if (Date.now() - statSync(old).mtimeMs > keptChunksMilliseconds) {
      rmSync(old);
    }
  }
  return results.flatMap(({ metafile }) => Object.keys(metafile.inputs));
}

/**
 * Programs are started by a file that is CommonJS by its name, as Node and VS Code expect of a .js file of this package.
 * @param {string} outdir
 */
function writeStarts(outdir) {
  mkdirSync(outdir, { recursive: true });
  for (const { name, start } of programs) {
    const file = join(outdir, `${name}.js`);
    rmSync(`${file}.map`, { force: true });
    writeFileSync(file, `${start}import('./${name}.mjs');\n`);
    chmodSync(file, 0o755);
  }
}

/** Rebuilds on every change; the two lines frame a rebuild for the problem matcher of .vscode/tasks.json. */
async function watch() {
  const frame = {
    name: 'frame',
    /** @param {import('esbuild').PluginBuild} pluginBuild */
    setup(pluginBuild) {
      pluginBuild.onStart(() => console.log('[watch] build started'));
      pluginBuild.onEnd(() => console.log('[watch] build finished'));
    },
  };
  writeStarts(join(root, 'dist'));
  const contexts = await Promise.all(plan({}).map(({ settings }) => context({ ...settings, plugins: [frame] })));
  await Promise.all(contexts.map((each) => each.watch()));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const flags = new Set(process.argv.slice(2));
  await (flags.has('--watch')
    ? watch()
    : build({ strict: flags.has('--strict'), production: flags.has('--production') }));
}
