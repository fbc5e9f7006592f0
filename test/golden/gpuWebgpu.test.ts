import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from '../../scripts/support/paths.mjs';
import type { ProviderErrors } from '../support/providerRunner';
import { softwareVulkan } from '../support/softwareVulkan';

/** WebGPU computes in float32 as the processor does, in another order. */
const tolerance = 1e-5;

/** Families whose whole decoder runs too: latent attention, and grouped queries with sinks. */
const whole = new Set(['deepseek_v3', 'gpt_oss']);

const scratch = mkdtempSync(path.join(tmpdir(), 'gpu-webgpu-'));
const runner = path.join(root, 'test-results', `provider-runner-${process.pid}.cjs`);
const families = path.join(root, 'test', 'golden', 'families');

beforeAll(async () => {
  await build({
    entryPoints: [path.join(root, 'test', 'support', 'providerRunner.ts')],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    mainFields: ['module', 'main'],
    define: { 'import.meta.url': 'moduleUrl' },
    banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
    external: ['onnxruntime-node', 'vite', 'esbuild', 'playwright-core'],
    outfile: runner,
    logLevel: 'silent',
  });
});

afterAll(() => {
  rmSync(scratch, { recursive: true });
  rmSync(runner, { force: true });
});

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(environment: NodeJS.ProcessEnv, folders: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [runner, 'webgpu', ...folders], { env: environment }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
    );
  });
}

test(
  'every golden family gives the same on WebGPU, through a software Vulkan driver',
  { timeout: 900_000 },
  async (context) => {
    const vulkan = await softwareVulkan(scratch);
    if ('missing' in vulkan) {
      console.warn(`SKIPPED: no software Vulkan driver: ${vulkan.missing}`);
      context.skip(`no software Vulkan driver: ${vulkan.missing}`);
      return;
    }
    const names = readdirSync(families);
    const folders = names.map((name) => `${whole.has(name) ? '+' : ''}${path.join(families, name)}`);
    const { code, stdout, stderr } = await run(vulkan.environment, folders);
    expect(code, stderr.slice(-2000)).toBe(0);
    const results = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as ProviderErrors);
    expect(results).toHaveLength(names.length);
    for (const { family, block, sensitivity, logits } of results) {
      expect(Math.max(block, sensitivity, logits), family).toBeLessThan(tolerance);
      // An engine that quietly used the processor would agree to the last bit.
      expect(block, `${family}: run by the device`).toBeGreaterThan(0);
    }
  },
);

test('without a Vulkan device WebGPU is refused with a reason, and nothing is computed', async () => {
  const nowhere = path.join(scratch, 'no-driver.json');
  const environment = { ...process.env, VK_ICD_FILENAMES: nowhere, VK_DRIVER_FILES: nowhere };
  const { code, stdout, stderr } = await run(environment, [path.join(families, 'qwen2_moe')]);
  expect(code).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toMatch(/The graph could not be loaded\..*(adapter|WebGPU|Vulkan)/is);
});
