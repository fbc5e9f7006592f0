import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TunerError } from '../../engine/protocol/errors';
import { missingLibraryAdvice } from '../../engine/runtime/missingLibraries';
import { ProviderSelector } from '../../engine/runtime/providerSelection';

/** What a probe process does, by provider, as the body of a function of Node. */
type Probes = Readonly<Record<string, string>>;

const cpu = answer({ ok: true, reason: 'It works.', gflops: 100 });

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'provider-selection-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function answer(outcome: object): string {
  return `console.log(${JSON.stringify(JSON.stringify(outcome))});`;
}

/** A selector whose probe processes do what `probes` says; providers that are not named fail. */
function selector(probes: Probes, options: { timeout?: number; runtimeDirectory?: string } = {}): ProviderSelector {
  const cases = Object.entries(probes).map(([name, body]) => `case '${name}': ${body} break;`);
  const failing = answer({ ok: false, reason: 'There is no device.', gflops: null });
  writeFileSync(
    path.join(folder, 'probe.js'),
    `require('node:fs').appendFileSync(${JSON.stringify(path.join(folder, 'runs'))}, process.argv[2] + '\\n');
     switch (process.argv[2]) { ${cases.join(' ')} default: ${failing} }`,
  );
  return new ProviderSelector({
    programDirectory: folder,
    threads: 1,
    memory: path.join(folder, 'providers.json'),
    runtimeVersion: 'test',
    probeTimeoutMilliseconds: options.timeout ?? 20_000,
    runtimeDirectory: options.runtimeDirectory,
  });
}

describe('choice of a provider', () => {
  test('a GPU that clearly beats the processor is taken, and the reason says by how much', async () => {
    const choice = await selector({ cpu, webgpu: answer({ ok: true, reason: 'It works.', gflops: 900 }) }).select(
      'auto',
    );
    expect(choice).toMatchObject({ requested: 'auto', selected: 'webgpu' });
    expect(choice.reason).toContain('9.0 times');
  });

  test('a software driver that works but is slow is left alone, with both speeds in the reason', async () => {
    const choice = await selector({ cpu, webgpu: answer({ ok: true, reason: 'It works.', gflops: 8 }) }).select('auto');
    expect(choice.selected).toBe('cpu');
    expect(choice.reason).toMatch(/100 GFLOP\/s.*webgpu reaches 8 GFLOP\/s/);
  });

  test('a named provider that does not work is refused, never replaced', async () => {
    const refusal = await selector({ cpu })
      .select('webgpu')
      .catch((error: unknown) => error);
    expect(TunerError.is(refusal, 'providerUnavailable')).toBe(true);
    expect((refusal as TunerError).message).toContain('There is no device.');
  });

  test('what was probed is remembered for the next process, and a changed runtime folder probes again', async () => {
    const probes = { cpu, webgpu: answer({ ok: true, reason: 'It works.', gflops: 900 }) };
    await selector(probes).select('auto');
    const runs = path.join(folder, 'runs');
    rmSync(runs);
    expect((await selector(probes).select('auto')).selected).toBe('webgpu');
    expect(existsSync(runs)).toBe(false);
    await selector(probes, { runtimeDirectory: folder }).select('auto');
    expect(existsSync(runs)).toBe(true);
  });
});

describe('probes that go wrong', () => {
  test('a probe that crashes is reported with its signal and what it printed', async () => {
    const crash = `process.stderr.write('driver: no such device\\n'); process.kill(process.pid, 'SIGKILL');`;
    const report = (await selector({ cpu, webgpu: crash }).probeAll()).find(({ name }) => name === 'webgpu')!;
    expect(report.available).toBe(false);
    expect(report.reason).toMatch(/ended with SIGKILL.*no such device/s);
  });

  test('a probe that hangs is killed', async () => {
    const report = (
      await selector({ cpu, webgpu: 'setInterval(() => undefined, 1000);' }, { timeout: 1500 }).probeAll()
    ).find(({ name }) => name === 'webgpu')!;
    expect(report).toMatchObject({ available: false });
    expect(report.reason).toContain('did not answer in time');
  });

  test('abilities of a provider reach the report', async () => {
    const able = { ok: true, reason: 'It works.', gflops: 900, precisions: ['float32', 'float16'], fusedExperts: true };
    const { providers } = await selector({ cpu, webgpu: answer(able) }).select('webgpu');
    expect(providers[0]).toMatchObject({ precisions: ['float32', 'float16'], fusedExperts: true });
  });
});

describe('advice about missing libraries', () => {
  test.each([
    [
      'libcublasLt.so.12: cannot open shared object file: No such file or directory',
      /libcublasLt\.so\.12.*CUDA 12.*nvidia-cublas-cu12/,
    ],
    ['libcudart.so.13: cannot open shared object file', /CUDA runtime of CUDA 13.*nvidia-cuda-runtime-cu13/],
    ['libcudnn.so.9: cannot open shared object file', /cuDNN\. Install.*nvidia-cudnn/],
    ['libcuda.so.1: cannot open shared object file', /NVIDIA driver is missing/],
    ['libonnxruntime_providers_shared.so: cannot open shared object file', /of the CUDA provider is missing/],
    ['/opt/x/libfoo.so.3: cannot open shared object file', /libfoo\.so\.3 is missing/],
  ])('%s', (printed, expected) => {
    expect(missingLibraryAdvice(`[E:onnxruntime] Failed to load library with error: ${printed}`)).toMatch(expected);
  });

  test('other failures get none', () => {
    expect(missingLibraryAdvice('CUDA failure 35: driver version is insufficient')).toBeUndefined();
  });
});
