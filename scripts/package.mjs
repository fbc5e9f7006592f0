import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { thirdPartyNotices } from './support/notices.mjs';
import { root } from './support/paths.mjs';
import { mustRun } from './support/run.mjs';
import { readZip } from './support/zip.mjs';

/**
 * Platforms of VS Code for which ONNX Runtime ships binaries, and the native files each needs.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const platforms = {
  'linux-x64': ['libonnxruntime.so.1', 'onnxruntime_binding.node'],
  'linux-arm64': ['libonnxruntime.so.1', 'onnxruntime_binding.node'],
  'darwin-arm64': ['libonnxruntime.1.dylib', 'onnxruntime_binding.node'],
  'win32-x64': ['onnxruntime.dll', 'DirectML.dll', 'dxcompiler.dll', 'dxil.dll', 'onnxruntime_binding.node'],
  'win32-arm64': ['onnxruntime.dll', 'DirectML.dll', 'dxcompiler.dll', 'dxil.dll', 'onnxruntime_binding.node'],
};

/** The platform of this machine. */
export const thisPlatform = `${process.platform}-${process.arch}`;

/** Largest package that is still plausible; more means that files of another platform slipped in. */
const sizeLimitMiB = 60;

/** Packages that stay outside the bundles because they hold native code. */
const runtimePackages = ['onnxruntime-node', 'onnxruntime-common'];

/** Keys of a package.json that mean nothing once installed. */
const developmentKeys = ['scripts', 'devDependencies', 'allowScripts', 'bin'];

/** Files and folders of the root that ship as they are; .vscodeignore has the last word on each file. */
const shipped = [
  ...readdirSync(root).filter((name) => /^package\.nls.*\.json$/.test(name)),
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
  'l10n',
  'media',
  '.vscodeignore',
];

/**
 * Builds the extension for one platform in a temporary folder; the working tree stays untouched.
 * @param {string} platform
 * @param {string} [folder] Where the package goes; default the root.
 * @returns {Promise<string>} Path of the .vsix.
 */
export async function packageExtension(platform, folder = root) {
  const natives = platforms[platform];
  if (natives === undefined) {
    throw new Error(`No ONNX Runtime binaries for ${platform}. Known: ${Object.keys(platforms).join(', ')}.`);
  }
  const stage = mkdtempSync(join(tmpdir(), 'moe-tuner-package-'));
  try {
    const { name, version } = stageManifest(stage);
    for (const each of shipped.filter((path) => existsSync(join(root, path)))) {
      cpSync(join(root, each), join(stage, each), { recursive: true, dereference: true });
    }
    stageRuntime(stage, platform, natives);
    const inputs = await build({ outdir: join(stage, 'dist'), production: true, strict: true, tests: false });
    writeFileSync(join(stage, 'THIRD_PARTY_NOTICES.txt'), thirdPartyNotices(inputs, runtimePackages));
    mkdirSync(folder, { recursive: true });
    const vsix = join(folder, `${name}-${platform}-${version}.vsix`);
    const vsce = join(root, 'node_modules', '@vscode', 'vsce', 'vsce');
    // There is no public repository yet that links of the README could be rewritten to.
    const noRepository = ['--allow-missing-repository', '--no-rewrite-relative-links'];
    const options = ['--target', platform, '--out', vsix, '--no-yarn', ...noRepository];
    await mustRun(process.execPath, [vsce, 'package', ...options], { cwd: stage, quiet: true });
    check(vsix, platform, natives);
    return vsix;
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/**
 * The manifest as it ships: without what only development needs, and with the runtime as its one dependency.
 * @param {string} stage
 * @returns {{ name: string, version: string }}
 */
function stageManifest(stage) {
  /** @type {Record<string, unknown> & { name: string, version: string, dependencies: Record<string, string> }} */
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const runtime = Object.entries(manifest.dependencies).filter(([name]) => runtimePackages.includes(name));
  writeManifest(stage, manifest, runtime);
  return manifest;
}

/**
 * Copies ONNX Runtime with the binaries of one platform and without its installer and that installer's dependencies.
 * @param {string} stage
 * @param {string} platform
 * @param {readonly string[]} natives
 */
function stageRuntime(stage, platform, natives) {
  for (const name of runtimePackages) {
    const from = join(root, 'node_modules', name);
    const to = join(stage, 'node_modules', name);
    cpSync(join(from, 'dist'), join(to, 'dist'), { recursive: true });
    /** @type {Record<string, unknown> & { dependencies?: Record<string, string> }} */
    const manifest = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
    const dependencies = Object.entries(manifest.dependencies ?? {}).filter(([each]) => runtimePackages.includes(each));
    writeManifest(to, manifest, dependencies);
  }
  for (const file of natives) {
    const path = nativePath(platform, file);
    mkdirSync(dirname(join(stage, path)), { recursive: true });
    copyFileSync(join(root, path), join(stage, path));
  }
}

/**
 * @param {string} folder
 * @param {Record<string, unknown>} manifest
 * @param {[string, string][]} dependencies
 */
function writeManifest(folder, manifest, dependencies) {
  const kept = Object.entries(manifest).filter(([key]) => !developmentKeys.includes(key));
  const shipping = { ...Object.fromEntries(kept), dependencies: Object.fromEntries(dependencies) };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(shipping, undefined, 2));
}

/**
 * @param {string} platform
 * @param {string} file
 */
function nativePath(platform, file) {
  return `node_modules/onnxruntime-node/bin/napi-v6/${platform.replace('-', '/')}/${file}`;
}

/**
 * Fails when a package lacks something it needs or carries something it must not.
 * @param {string} vsix
 * @param {string} platform
 * @param {readonly string[]} natives
 */
function check(vsix, platform, natives) {
  const names = readZip(vsix).map((entry) => entry.name.replace(/^extension\//, ''));
  const programs = ['engine', 'probe', 'roundingWorker', 'cli'].flatMap((name) => [`${name}.js`, `${name}.mjs`]);
  const bundles = ['extension.js', ...programs, 'webviews/dashboard.js'];
  const needed = [...bundles.map((name) => `dist/${name}`), ...natives.map((file) => nativePath(platform, file))];
  const missing = needed.filter((name) => !names.includes(name));
  const unwanted = names.filter((name) => /\.(map|ts|tsbuildinfo)$|^dist\/test\//.test(name));
  const foreign = names.filter(
    (name) => /\/napi-v6\//.test(name) && !name.includes(`/napi-v6/${platform.replace('-', '/')}/`),
  );
  const mebibytes = statSync(vsix).size / 2 ** 20;
  const problems = [
    ...missing.map((name) => `lacks ${name}`),
    ...[...unwanted, ...foreign].map((name) => `must not contain ${name}`),
    ...(mebibytes > sizeLimitMiB ? [`is ${mebibytes.toFixed(1)} MiB, more than ${sizeLimitMiB}`] : []),
  ];
  if (problems.length > 0) {
    rmSync(vsix);
    throw new Error(`The package for ${platform} ${problems.join('; ')}.`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const wanted = process.argv.slice(2);
  const list = wanted.includes('--all') ? Object.keys(platforms) : wanted.length > 0 ? wanted : [thisPlatform];
  for (const platform of list) {
    const vsix = await packageExtension(platform);
    console.log(`${vsix}  ${(statSync(vsix).size / 2 ** 20).toFixed(1)} MiB`);
  }
}
