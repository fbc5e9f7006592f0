import { readdirSync } from 'node:fs';
import { join, parse } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runnerImport } from 'vite';
import { root } from './support/paths.mjs';

// Runs the benchmarks of test/bench that are named, or all: `node scripts/bench.mjs engine`.
const folder = join(root, 'test', 'bench');
const files = new Map(readdirSync(folder).map((file) => [parse(file).name, join(folder, file)]));
const names = [...files.keys()];
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(', ')}. Choose from ${names.join(', ')}, or nothing for all.`);
  process.exit(2);
}
for (const [, file] of [...files].filter(([name]) => wanted.length === 0 || wanted.includes(name))) {
  // Each file prints its own lines while it is loaded.
  await (file.endsWith('.mjs') ? import(pathToFileURL(file).href) : runnerImport(file));
}
