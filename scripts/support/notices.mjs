import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';

const rule = '-'.repeat(80);

/**
 * The licences of everything that ships: bundling removes them from the code, and they ask to be passed on.
 * @param {readonly string[]} bundled Files that went into bundles, relative to the root.
 * @param {readonly string[]} packages Packages that ship as they are.
 * @returns {string}
 */
export function thirdPartyNotices(bundled, packages) {
  const folders = bundled
    .map((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1])
    .filter((folder) => folder !== undefined);
  const all = [...new Set([...folders, ...packages.map((name) => `node_modules/${name}`)])].sort();
  return all.map((folder) => notice(join(root, folder))).join(`\n${rule}\n\n`);
}

/** @param {string} folder */
function notice(folder) {
  /** @type {{ name: string, version: string, license?: string }} */
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const files = existsSync(folder)
    ? readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
    : [];
  if (license === undefined && files.length === 0) {
    throw new Error(`${name} ${version} has no licence: it cannot be shipped.`);
  }
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return [`${name} ${version} (${license ?? 'see below'})`, ...texts, ''].join('\n\n');
}
