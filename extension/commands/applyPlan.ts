import { basename, dirname, join } from 'node:path';
import * as vscode from 'vscode';
import type { ApplyResult, ExportTargetsResult, TargetName } from '../../engine/protocol/apply';
import { TunerError } from '../../engine/protocol/errors';
import { formatBytes } from '../common/format';
import { localize } from '../common/localize';
import { fileName } from '../config/resultText';
import type { EngineParams } from '../engine/supervisor';
import { pickPlan, type PlanAndCheckpoint } from './pickPlan';
import type { Services } from './services';

/** Answers that a keybinding or a test may give instead of a person. */
export type ApplyOptions = Partial<Omit<EngineParams<'apply'>, 'checkpoint' | 'plan'>>;

type Target = ExportTargetsResult['targets'][number];

/** Shows every target with what it can load of this plan, before anything is written. */
async function pickTarget(services: Services, { plan, checkpoint }: PlanAndCheckpoint): Promise<Target | undefined> {
  const { targets } = await services.engine.request('exportTargets', { checkpoint: checkpoint.folder, plan });
  const items = targets.map((target) => ({
    label: `$(${target.accepts ? 'check' : 'circle-slash'}) ${target.title}`,
    detail: target.explanation,
    target,
  }));
  const placeHolder = localize('Which runtime should load {plan}?', { plan: fileName(plan) });
  const target = (await vscode.window.showQuickPick(items, { placeHolder, matchOnDetail: true }))?.target;
  if (target?.accepts === false) {
    throw new TunerError('unsupportedFeature', target.explanation);
  }
  return target;
}

async function pickFolder(checkpoint: string, target: TargetName): Promise<string | undefined> {
  const suggestion = join(dirname(checkpoint), `${basename(checkpoint)}-${target}`);
  const choice = await vscode.window.showSaveDialog({
    defaultUri: vscode.Uri.file(suggestion),
    title: localize('Which folder should be written?'),
    saveLabel: localize('Write'),
  });
  return choice?.fsPath;
}

/** Tells what was written and how to load it; does not wait for the person. */
async function tellOutcome({ out, files, bytes, notes }: ApplyResult): Promise<void> {
  const written = localize('{count} files, {size}, were written to {folder}.', {
    count: files.length,
    size: formatBytes(bytes),
    folder: out,
  });
  const open = localize('Open');
  if ((await vscode.window.showInformationMessage([written, ...notes.slice(1, 2)].join(' '), open)) === open) {
    const readable = files.find(({ name }) => name === 'README.md') ?? files[0];
    await vscode.window.showTextDocument(vscode.Uri.file(join(out, readable?.name ?? '')));
  }
}

/** Writes what a plan decides for a runtime that the person chooses. */
export async function applyPlan(services: Services, argument?: unknown, options: ApplyOptions = {}): Promise<void> {
  const picked = await pickPlan(services, argument);
  if (picked === undefined) {
    return;
  }
  const { plan, checkpoint } = picked;
  const target = options.target ?? (await pickTarget(services, picked))?.name;
  const out = options.out ?? (target && (await pickFolder(checkpoint.folder, target)));
  if (target === undefined || out === undefined) {
    return;
  }
  const title = localize('Applying {label}', { label: fileName(plan) });
  const result = await services.jobs.run(
    title,
    (control) => services.engine.request('apply', { checkpoint: checkpoint.folder, plan, target, out }, control),
    { whenCancelled: localize('Cancelled: nothing was written.') },
  );
  if (result !== undefined) {
    void tellOutcome(result);
  }
}
