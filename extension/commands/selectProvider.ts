import * as vscode from 'vscode';
import type { DoctorResult } from '../../engine/protocol/doctor';
import { providerNames, type ProviderName } from '../../engine/protocol/providerNames';
import { formatNumber } from '../common/format';
import { localize } from '../common/localize';
import { readSetting } from '../common/settings';
import { ensureTrusted } from '../common/showError';
import type { Services } from './services';

type ProviderItem = vscode.QuickPickItem & { readonly provider: ProviderName };

/** One line per provider that exists on this platform, the one that is set first named as such. */
export function providerItems(report: DoctorResult, current: ProviderName): ProviderItem[] {
  const marked = (name: string) => (name === current ? localize('current') : '');
  const automatic: ProviderItem = {
    provider: 'auto',
    label: 'auto',
    description: marked('auto'),
    detail: localize('The fastest provider that works here.'),
  };
  const items = report.providers.flatMap(({ name, available, gflops, reason }): ProviderItem[] => {
    const provider = providerNames.find((known) => known === name);
    if (provider === undefined) {
      return [];
    }
    const speed = gflops === null ? '' : `${formatNumber(gflops)} GFLOP/s`;
    const description = [marked(name), speed].filter((text) => text !== '').join(' · ');
    return [{ provider, label: `${available ? '$(check)' : '$(circle-slash)'} ${name}`, description, detail: reason }];
  });
  return [automatic, ...items];
}

/** Probes the providers, shows what each can do and why not, and sets the chosen one for this machine. */
export async function selectProvider(services: Services): Promise<void> {
  if (!(await ensureTrusted())) {
    return;
  }
  const title = localize('Checking the engine');
  const report = await services.jobs.run(title, (control) => services.engine.request('doctor', {}, control), {
    again: () => selectProvider(services),
  });
  if (report === undefined) {
    return;
  }
  services.provider.set(report.selected, report.reason);
  const choice = await vscode.window.showQuickPick(providerItems(report, readSetting('moeTuner.provider')), {
    title: localize('Select Execution Provider'),
    placeHolder: localize('Using {selected}: {reason}', { selected: report.selected, reason: report.reason }),
    matchOnDetail: true,
  });
  if (choice !== undefined) {
    await vscode.workspace
      .getConfiguration()
      .update('moeTuner.provider', choice.provider, vscode.ConfigurationTarget.Global);
  }
}
