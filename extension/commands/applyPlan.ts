import { basename, dirname, join } from 'node:path';
import * as vscode from 'vscode';
import type { ApplyResult, ExportTargetsResult, GgufBlocks, TargetName } from '../../engine/protocol/apply';
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

/** What the forms of rounded weights in a GGUF file are good for. */
const blockTexts = (): Readonly<Record<GgufBlocks, { label: string; detail: string }>> => ({
  codes: {
    label: localize('Codes of the plan'),
    detail: localize('The numbers that evaluations of the plan measure'),
  },
  'k-quants': {
    label: localize('K-quants of llama.cpp'),
    detail: localize('As many bits in super-blocks: usually nearer to the weights, not measured here'),
  },
});

/** The form of rounded weights, asked where the target has more than one; undefined when the person went away. */
async function pickBlocks(forms: readonly GgufBlocks[]): Promise<GgufBlocks | undefined> {
  const items = forms.map((form) => ({ ...blockTexts()[form], form }));
  const placeHolder = localize('How should the bits of the plan be stored?');
  return (await vscode.window.showQuickPick(items, { placeHolder }))?.form;
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
  const chosen = options.target === undefined ? await pickTarget(services, picked) : undefined;
  const target = options.target ?? chosen?.name;
  const forms = options.ggufBlocks === undefined ? chosen?.ggufBlocks : undefined;
  const ggufBlocks = forms === undefined ? options.ggufBlocks : await pickBlocks(forms);
  if (forms !== undefined && ggufBlocks === undefined) {
    return;
  }
  const out = options.out ?? (target && (await pickFolder(checkpoint.folder, target)));
  if (target === undefined || out === undefined) {
    return;
  }
  const params = {
    checkpoint: checkpoint.folder,
    plan,
    target,
    out,
    ...(ggufBlocks === undefined ? {} : { ggufBlocks }),
  };
  const title = localize('Applying {label}', { label: fileName(plan) });
  const result = await services.jobs.run(title, (control) => services.engine.request('apply', params, control), {
    whenCancelled: localize('Cancelled: nothing was written.'),
  });
  if (result !== undefined) {
    void tellOutcome(result);
  }
}
