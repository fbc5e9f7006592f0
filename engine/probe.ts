import { runtimeVariable, useRuntimeDirectory } from './runtime/onnxruntime';
import { probeProvider } from './runtime/probeProvider';

/** Entry of the probe process: `probe.js <runtime provider name> <threads>`; prints one JSON line. */
async function main(): Promise<void> {
  const folder = process.env[runtimeVariable];
  useRuntimeDirectory(folder === '' ? undefined : folder);
  const outcome = await probeProvider(process.argv[2] ?? 'cpu', Number(process.argv[3] ?? 0));
  process.stdout.write(`\n${JSON.stringify(outcome)}\n`);
}

void main();
