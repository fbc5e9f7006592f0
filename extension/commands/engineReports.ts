import { homedir } from 'node:os';
import * as vscode from 'vscode';
import { formatBytes, formatNumber } from '../common/format';
import { localize } from '../common/localize';
import { scrubPaths } from '../common/scrubPaths';
import { settings, type SettingName } from '../common/settingsTable';
import { readSetting } from '../common/settings';
import { ensureTrusted } from '../common/showError';
import type { DoctorResult } from '../../engine/protocol/doctor';
import type { Services } from './services';

/** The report of the engine's self-check as Markdown. */
export function doctorMarkdown(report: DoctorResult): string {
  const rows = report.providers.map(
    ({ name, available, reason, gflops }) =>
      `| ${name} | ${available ? localize('yes') : localize('no')} | ${gflops === null ? '' : formatNumber(gflops)} | ${reason} |`,
  );
  const versions = Object.entries(report.versions).map(([name, version]) => `- ${name}: ${version}`);
  return [
    `# ${localize('Engine diagnostics')}`,
    localize('Asked for **{requested}**, using **{selected}**: {reason}', {
      requested: report.requested,
      selected: report.selected,
      reason: report.reason,
    }),
    [localize('| Provider | Available | GFLOPS | Why |'), '| --- | --- | --: | --- |', ...rows].join('\n'),
    localize('Threads: {threads}', { threads: report.threads }),
    localize('Cache: {directory}', { directory: report.cacheDirectory }),
    versions.join('\n'),
  ].join('\n\n');
}

/** Runs the engine's self-check and shows what it found. */
export async function showDoctor(services: Services): Promise<void> {
  if (!(await ensureTrusted())) {
    return;
  }
  const title = localize('Checking the engine');
  const report = await services.jobs.run(title, (control) => services.engine.request('doctor', {}, control), {
    again: () => showDoctor(services),
  });
  if (report !== undefined) {
    services.provider.set(report.selected, report.reason);
    const document = await vscode.workspace.openTextDocument({ language: 'markdown', content: doctorMarkdown(report) });
    await vscode.window.showTextDocument(document, { preview: true });
  }
}

/** Copies versions, settings, states and the recent log to the clipboard, with personal folders replaced. */
export async function copyDiagnostics({ context, engine, log, provider, store }: Services): Promise<void> {
  const { version } = context.extension.packageJSON as { version: string };
  const settingLines = (Object.keys(settings) as SettingName[]).map((name) => `${name}: ${String(readSetting(name))}`);
  const checkpointLines = store
    .all()
    .map(({ label, state, summary, error }) =>
      [label, state, summary?.family, error?.code].filter((part) => part !== undefined).join(' · '),
    );
  const lines = [
    `MoE Tuner ${version}, VS Code ${vscode.version}, Node ${process.version}, ${process.platform} ${process.arch}`,
    `Remote: ${vscode.env.remoteName ?? 'none'}, trusted: ${String(vscode.workspace.isTrusted)}`,
    `Engine: ${engine.status.state} ${engine.status.message ?? ''}, provider ${provider.name ?? 'not used yet'}`,
    '',
    ...settingLines,
    '',
    ...checkpointLines,
    '',
    ...log.lines,
  ];
  const folders = new Map([[homedir(), '~']]);
  for (const [position, { uri }] of (vscode.workspace.workspaceFolders ?? []).entries()) {
    folders.set(uri.fsPath, `<workspace ${position + 1}>`);
  }
  folders.set(context.globalStorageUri.fsPath, '<storage>');
  await vscode.env.clipboard.writeText(scrubPaths(lines.join('\n'), folders));
  void vscode.window.showInformationMessage(localize('Diagnostics were copied to the clipboard.'));
}

/** Deletes all cached measurements and results, after the person agreed. */
export async function clearCache(services: Services): Promise<void> {
  const { engine, jobs, store } = services;
  if (!(await ensureTrusted())) {
    return;
  }
  const clear = localize('Clear');
  const question = localize('Delete all cached measurements and results? Plans and checkpoints are not touched.');
  if ((await vscode.window.showWarningMessage(question, { modal: true }, clear)) !== clear) {
    return;
  }
  const title = localize('Clearing the cache');
  const cleared = await jobs.run(title, (control) => engine.request('clearCache', {}, control), {
    again: () => clearCache(services),
  });
  if (cleared !== undefined) {
    store.clearResults();
    const size = formatBytes(cleared.freedBytes);
    void vscode.window.showInformationMessage(localize('{size} were freed.', { size }));
  }
}

/** Ends the engine and starts a fresh one. */
export async function restartEngine({ engine }: Services): Promise<void> {
  if (await ensureTrusted()) {
    engine.stop();
    await engine.start();
  }
}
