import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { providerReportSchema, type DoctorResult, type ProviderReport } from '../protocol/doctor';
import { TunerError } from '../protocol/errors';
import { missingLibraryAdvice } from './missingLibraries';
import { runtimeVariable } from './onnxruntime';
import { probeOutcomeSchema, type ProbeOutcome } from './probeProvider';
import { providerNamed, providerTable, type ProviderRecord } from './providerTable';

/** A probe that takes longer than this is killed. */
const probeTimeoutMilliseconds = 60_000;

/** A GPU is taken by itself only where it beats the CPU by this factor; software drivers do not. */
const clearlyFaster = 2;

/** Characters of a failed probe's standard error that are shown: the loader's real reason is only there. */
const shownErrorLength = 600;

/** ONNX Runtime colours its log lines, whoever reads them. */
const terminalColours = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

/** How long remembered probes are believed; a new driver or runtime is noticed by the key, this is for the rest. */
const rememberedMilliseconds = 24 * 3600 * 1000;

const rememberedSchema = z.object({ key: z.string(), time: z.number(), reports: z.array(providerReportSchema) });

export interface ProviderSelectorOptions {
  /** Folder with `probe.js`. */
  readonly programDirectory: string;
  /** Folder that ONNX Runtime is taken from; undefined: the bundled one. */
  readonly runtimeDirectory?: string | undefined;
  /** Threads of one operator, 0 for all cores. */
  readonly threads: number;
  /** File in which the outcome of probing is remembered between processes. */
  readonly memory: string;
  readonly runtimeVersion: string;
  /** A probe that takes longer is killed; 60 seconds where it is left out. */
  readonly probeTimeoutMilliseconds?: number | undefined;
}

export type Selection = Pick<DoctorResult, 'requested' | 'selected' | 'reason' | 'providers'>;

/** Probes execution providers, each in a process of its own, and chooses one. Results are kept for the process. */
export class ProviderSelector {
  private readonly reports = new Map<string, Promise<ProviderReport>>();

  constructor(private readonly options: ProviderSelectorOptions) {}

  /** Probes every provider that can exist on this platform, now. */
  async probeAll(): Promise<ProviderReport[]> {
    const reports: ProviderReport[] = [];
    for (const record of providerTable.filter(({ platforms }) => platforms.includes(process.platform))) {
      reports.push(await this.report(record));
    }
    await this.remember(reports);
    return reports;
  }

  /**
   * The runtime's name of the provider to compute with. A named provider is used or refused, never replaced; `auto`
   * takes a GPU only when its probe clearly beats the CPU.
   * @throws TunerError `providerUnavailable`
   */
  async select(requested: string): Promise<Selection> {
    if (requested === 'cpu') {
      return { requested, selected: 'cpu', reason: 'It was asked for.', providers: [] };
    }
    if (requested === 'auto') {
      return this.selectBest(requested);
    }
    const record = providerNamed(requested);
    if (record === undefined || !record.platforms.includes(process.platform)) {
      throw unavailable(requested, `It does not exist on ${process.platform}.`, 'Use --provider auto or cpu.');
    }
    const report = await this.report(record);
    if (!report.available) {
      throw unavailable(requested, report.reason, 'Or use --provider auto or cpu.');
    }
    return { requested, selected: record.runtimeName, reason: 'It was asked for and works.', providers: [report] };
  }

  private async selectBest(requested: string): Promise<Selection> {
    const providers = (await this.remembered()) ?? (await this.probeAll());
    const speed = ({ available, gflops }: ProviderReport) => (available ? (gflops ?? 0) : 0);
    const cpu = providers.find(({ name }) => name === 'cpu');
    const best = providers.reduce((left, right) => (speed(right) > speed(left) ? right : left));
    const cpuSpeed = cpu === undefined ? 0 : speed(cpu);
    if (best.name === 'cpu' || speed(best) < clearlyFaster * cpuSpeed) {
      const others = providers.filter(({ name }) => name !== 'cpu');
      const reasons = others.map(({ name, available, gflops, reason }) =>
        available ? `${name} reaches ${Math.round(gflops ?? 0)} GFLOP/s` : `${name}: ${firstSentence(reason)}`,
      );
      const reason = `The CPU reaches ${Math.round(cpuSpeed)} GFLOP/s; no GPU clearly beats it (${reasons.join('; ')}).`;
      return { requested, selected: 'cpu', reason, providers };
    }
    const ratio = speed(best) / cpuSpeed;
    const reason = `It is ${ratio.toFixed(1)} times as fast as the CPU.`;
    return { requested, selected: providerNamed(best.name)!.runtimeName, reason, providers };
  }

  /** What the probes depend on besides time. */
  private memoryKey(): string {
    const nvidia = existsSync('/dev/nvidia0') || existsSync('/dev/dxg');
    const { runtimeVersion, runtimeDirectory, threads } = this.options;
    return JSON.stringify([
      runtimeVersion,
      runtimeDirectory,
      process.env.LD_LIBRARY_PATH,
      threads,
      os.hostname(),
      os.release(),
      os.cpus()[0]?.model,
      nvidia,
    ]);
  }

  private async remembered(): Promise<ProviderReport[] | undefined> {
    try {
      const memory = rememberedSchema.parse(JSON.parse(await readFile(this.options.memory, 'utf8')));
      const fresh = memory.key === this.memoryKey() && Date.now() - memory.time < rememberedMilliseconds;
      return fresh ? memory.reports : undefined;
    } catch {
      return undefined;
    }
  }

  /** Remembering is a convenience: where it cannot be written, the next process probes again. */
  private async remember(reports: readonly ProviderReport[]): Promise<void> {
    try {
      await mkdir(path.dirname(this.options.memory), { recursive: true });
      await writeFile(this.options.memory, JSON.stringify({ key: this.memoryKey(), time: Date.now(), reports }));
    } catch {
      return;
    }
  }

  private report(record: ProviderRecord): Promise<ProviderReport> {
    const known = this.reports.get(record.name);
    if (known !== undefined) {
      return known;
    }
    const report = this.probe(record).then(({ ok, reason, ...measured }) => ({
      name: record.name,
      available: ok,
      reason: ok ? reason : `${reason} ${record.howToGet}`,
      ...measured,
    }));
    this.reports.set(record.name, report);
    return report;
  }

  private probe(record: ProviderRecord): Promise<ProbeOutcome> {
    const script = path.join(this.options.programDirectory, 'probe.js');
    const options = {
      timeout: this.options.probeTimeoutMilliseconds ?? probeTimeoutMilliseconds,
      killSignal: 'SIGKILL' as const,
      env: { ...process.env, [runtimeVariable]: this.options.runtimeDirectory ?? '', ELECTRON_RUN_AS_NODE: '1' },
    };
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [script, record.runtimeName, String(this.options.threads)],
        options,
        (error, stdout, rawErrors) => {
          const stderr = rawErrors.replaceAll(terminalColours, '');
          const outcome = parseOutcome(stdout);
          if (outcome !== undefined) {
            const detail = outcome.ok ? '' : explanation(`${outcome.reason}\n${stderr}`);
            resolve({ ...outcome, reason: `${outcome.reason} ${detail}`.trim() });
            return;
          }
          const how =
            error?.killed === true
              ? 'did not answer in time'
              : `ended with ${error?.signal ?? error?.code ?? 'no answer'}`;
          const reason = `The probe ${how}. ${explanation(stderr)}`.trim();
          resolve({ ok: false, reason, gflops: null });
        },
      );
    });
  }
}

function parseOutcome(stdout: string): ProbeOutcome | undefined {
  const line = stdout.trim().split('\n').at(-1) ?? '';
  try {
    return probeOutcomeSchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

/** Advice where the loader names a missing library, and in any case the end of what was printed. */
function explanation(printed: string): string {
  const advice = missingLibraryAdvice(printed);
  const end = printed.trim().slice(-shownErrorLength);
  return advice === undefined ? end : `${advice} ${end}`;
}

function firstSentence(text: string): string {
  return text
    .split(/(?<=[.!])\s/, 1)[0]!
    .slice(0, 160)
    .replace(/\.$/, '');
}

function unavailable(name: string, reason: string, wayOut: string): TunerError {
  return new TunerError('providerUnavailable', `The execution provider ${name} cannot be used. ${reason}`, {
    place: '--provider',
    wayOut,
  });
}
