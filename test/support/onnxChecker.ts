import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import * as z from 'zod';

const run = promisify(execFile);
const script = path.join(import.meta.dirname, 'exportPython', 'checkOnnx.py');

/** A Python that has the onnx package: the system's own comes before one of the path, which may be another. */
const python = ['/usr/bin/python3', 'python3'].find(
  (candidate) => spawnSync(candidate, ['-c', 'import onnx']).status === 0,
);

/** Whether the checker of the onnx package can be run here; said loudly where it cannot. */
export const hasOnnxChecker = python !== undefined;
if (!hasOnnxChecker) {
  console.warn(
    'SKIPPED: exported models are not checked by the onnx package: no python3 has it (Debian: python3-onnx).',
  );
}

const lineSchema = z.object({ path: z.string(), finding: z.string().nullable() });

/** What the checker, with strict shape inference, says of model files: one finding, or null, for each. */
export async function onnxFindings(files: readonly string[]): Promise<Map<string, string | null>> {
  const { stdout } = await run(python!, [script, ...files], { maxBuffer: 2 ** 26 });
  const lines = stdout.trim().split('\n');
  return new Map(lines.map((line) => lineSchema.parse(JSON.parse(line))).map((each) => [each.path, each.finding]));
}
