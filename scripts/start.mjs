import { ensureDependencies } from './support/dependencies.mjs';

const usage = 'npm start [-- --no-editor]   tunes the bundled sample, then opens it in VS Code unless told not to';

const flags = process.argv.slice(2);
if (flags.some((flag) => flag !== '--no-editor')) {
  console.error(usage);
  process.exit(2);
}
try {
  await ensureDependencies();
  // Everything below needs the packages, so it is imported only now.
  const { build } = await import('./build.mjs');
  await build({ strict: true, tests: false });
  const { tuneSample } = await import('./support/tuneSample.mjs');
  const folder = await tuneSample();
  if (!flags.includes('--no-editor')) {
    const { openEditor } = await import('./support/openEditor.mjs');
    await openEditor(folder);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
