import { join, dirname, basename } from 'node:path';
import * as vscode from 'vscode';
import { formatCount, formatPercent } from '../common/format';
import { localize } from '../common/localize';
import type { CalibrateResult } from '../../engine/protocol/calibration';
import type { EngineParams } from '../engine/supervisor';
import { askForText } from './calibrationText';
import { pickCheckpoint, type ReadyCheckpoint } from './pickCheckpoint';
import type { Services } from './services';

/** Answers that a keybinding or a test may give instead of a person. */
export type CalibrateOptions = Partial<Omit<EngineParams<'calibrate'>, 'checkpoint'>>;

/** Ending of statistics files. */
const statisticsSuffix = '.moestats.safetensors';

async function askForFile(folder: string): Promise<string | undefined> {
  const choice = await vscode.window.showSaveDialog({
    // Beside the checkpoint, not inside: its folder is what loaders read.
    defaultUri: vscode.Uri.file(join(dirname(folder), `${basename(folder)}${statisticsSuffix}`)),
    filters: { [localize('Calibration statistics')]: ['safetensors'] },
    title: localize('Where should the statistics be written?'),
  });
  return choice?.fsPath;
}

/** What a person should know about the coverage of the experts. */
export function coverageSentence({ tokens, layers, notes }: CalibrateResult): string {
  const experts = layers.reduce((sum, layer) => sum + layer.experts, 0);
  const rare = layers.reduce((sum, { coverage }) => sum + coverage.belowShare.length, 0);
  const never = layers.reduce((sum, { coverage }) => sum + coverage.neverChosen.length, 0);
  const seen = localize('{tokens} tokens calibrated.', { tokens: formatCount(tokens) });
  const covered =
    rare === 0
      ? localize('Every expert was covered.')
      : localize('{rare} of {experts} experts ({share}) saw few tokens, {never} none.', {
          rare,
          experts,
          never,
          share: formatPercent(rare / Math.max(1, experts)),
        });
  return [seen, covered, ...notes].join(' ');
}

async function run(
  services: Services,
  checkpoint: ReadyCheckpoint,
  options: CalibrateOptions,
  out: string,
): Promise<void> {
  const { engine, jobs, provider, store } = services;
  const { folder, label } = checkpoint;
  const result = await jobs.run(
    localize('Calibrating {label}', { label }),
    (control) => engine.request('calibrate', { ...options, out, checkpoint: folder }, control),
    { again: () => run(services, checkpoint, options, out) },
  );
  if (result !== undefined) {
    provider.set(result.provider);
    store.addCalibration(folder, result);
    void vscode.window.showInformationMessage(coverageSentence(result));
  }
}

/** Records on text what router and experts really do, and keeps the statistics that pruning and merging read. */
export async function calibrate(services: Services, argument?: unknown, options: CalibrateOptions = {}): Promise<void> {
  const checkpoint = await pickCheckpoint(services, argument);
  if (checkpoint === undefined) {
    return;
  }
  const text = options.text ?? (await askForText(services, checkpoint, { optional: false }));
  const out = text && (options.out ?? (await askForFile(checkpoint.folder)));
  if (text !== undefined && out !== undefined) {
    await run(services, checkpoint, { ...options, text }, out);
  }
}
