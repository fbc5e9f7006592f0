import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runnerImport } from 'vite';
import { root } from './support/paths.mjs';

// Runs the benchmarks of test/bench that are named, or all: `node scripts/bench.mjs engine`.
const folder = join(root, 'test', 'bench');
const names = readdirSync(folder).map((name) => basename(name, '.ts'));
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(', ')}. Choose from ${names.join(', ')}, or nothing for all.`);
  process.exit(2);
}
for (const name of names.filter((each) => wanted.length === 0 || wanted.includes(each))) {
  // Each file prints its own lines while it is loaded.
  await runnerImport(join(folder, `${name}.ts`));
}
