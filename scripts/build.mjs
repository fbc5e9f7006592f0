import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
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
 * @property {string} source
 * @property {string} output Path below the output folder.
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
  format: 'cjs',
  // Prefer ES modules where a package offers both: they can be tree-shaken.
  mainFields: ['module', 'main'],
  define: importMetaUrl.define,
  banner: { js: importMetaUrl.banner },
};

/** @type {import('esbuild').BuildOptions} */
const browser = { platform: 'browser', target: 'chrome120', format: 'iife', minify: true };

/** @type {readonly Target[]} */
const targets = [
  { source: 'extension/extension.ts', output: 'extension.js', options: { ...node, external: ['vscode'] } },
  { source: 'engine/server.ts', output: 'engine.js', options: { ...node, external: ['onnxruntime-node'] } },
  { source: 'engine/probe.ts', output: 'probe.js', options: { ...node, external: ['onnxruntime-node'] } },
  {
    source: 'engine/cli.ts',
    output: 'cli.js',
    options: {
      ...node,
      external: ['onnxruntime-node'],
      banner: { js: `#!/usr/bin/env node\n${importMetaUrl.banner}` },
    },
  },
  { source: 'webviews/dashboard/main.ts', output: 'webviews/dashboard.js', options: browser },
  { source: 'webviews/plan-editor/main.ts', output: 'webviews/planEditor.js', options: browser },
  { source: 'webviews/playground/main.ts', output: 'webviews/playground.js', options: browser },
];

/** @returns {Target[]} One bundle for each file in test/integration, as Mocha loads them one by one. */
function integrationTargets() {
  const folder = 'test/integration';
  if (!existsSync(join(root, folder))) {
    return [{ source: `${folder}/index.ts`, output: 'test/integration/index.js', options: node }];
  }
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({
      source: `${folder}/${name}`,
      output: `test/integration/${name.replace(/\.ts$/, '.js')}`,
      options: { ...node, external: ['vscode', 'mocha', 'onnxruntime-node'] },
    }));
}

/**
 * @param {BuildOptions} options
 * @returns {{ target: Target, settings: import('esbuild').BuildOptions }[]}
 */
function plan(options) {
  const outdir = options.outdir ?? join(root, 'dist');
  const wanted = [...targets, ...(options.tests === false ? [] : integrationTargets())];
  const missing = wanted.filter(({ source }) => !existsSync(join(root, source)));
  if (missing.length > 0) {
    const list = missing.map(({ source }) => source).join(', ');
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
        ...target.options,
        absWorkingDir: root,
        entryPoints: [target.source],
        outfile: join(outdir, target.output),
        bundle: true,
        sourcemap: options.production ? false : 'linked',
        minify: options.production ?? target.options.minify ?? false,
        // Names of classes and functions appear in error reports and logs.
        keepNames: target.options.platform === 'node',
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
  const cli = join(outdir, 'cli.js');
  if (existsSync(cli)) {
    chmodSync(cli, 0o755);
  }
  return results.flatMap(({ metafile }) => Object.keys(metafile.inputs));
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
  const contexts = await Promise.all(plan({}).map(({ settings }) => context({ ...settings, plugins: [frame] })));
  await Promise.all(contexts.map((each) => each.watch()));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const flags = new Set(process.argv.slice(2));
  await (flags.has('--watch')
    ? watch()
    : build({ strict: flags.has('--strict'), production: flags.has('--production') }));
}
