import * as vscode from 'vscode';
import type { EngineState } from '../../engine/protocol/dashboard';
import type { CommandId } from '../common/commandIds';
import { localize } from '../common/localize';
import type { ProviderInUse } from '../common/providerInUse';
import { readSetting } from '../common/settings';
import type { JobRunner } from '../commands/jobRunner';
import type { EngineSupervisor } from '../engine/supervisor';
import { disposeAll, type Subscription } from '../common/subscription';

const icons: Readonly<Record<EngineState, string>> = {
  stopped: '$(circle-outline)',
  starting: '$(loading~spin)',
  idle: '$(check)',
  busy: '$(sync~spin)',
  failed: '$(error)',
};

function stateText(state: EngineState): string {
  const texts: Readonly<Record<EngineState, string>> = {
    stopped: localize('stopped'),
    starting: localize('starting'),
    idle: localize('idle'),
    busy: localize('busy'),
    failed: localize('failed'),
  };
  return texts[state];
}

const command: CommandId = 'moeTuner.engineMenu';
const leftOfEditorStatus = 10;

/** The status bar item: what the engine does, and on which provider. */
export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem(
    'moeTuner.engine',
    vscode.StatusBarAlignment.Left,
    leftOfEditorStatus,
  );
  private readonly subscriptions: readonly Subscription[];

  constructor(
    private readonly engine: EngineSupervisor,
    private readonly provider: ProviderInUse,
    private readonly jobs: JobRunner,
  ) {
    this.item.name = localize('MoE Tuner Engine');
    this.item.command = command;
    this.subscriptions = [
      this.item,
      engine.onDidChangeStatus(() => this.update()),
      provider.onDidChange(() => this.update()),
      jobs.onDidChange(() => this.update()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('moeTuner.provider')) {
          this.update();
        }
      }),
    ];
    this.update();
    this.item.show();
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private update(): void {
    const { state, message } = this.engine.status;
    const provider = this.provider.name ?? readSetting('moeTuner.provider');
    const job = this.jobs.current;
    const percent = job === undefined ? '' : ` ${Math.round(job.fraction * 100)} %`;
    this.item.text = `${icons[state]} MoE ${provider}${percent}`;
    const status = localize('Engine {state}, provider {provider}', { state: stateText(state), provider });
    const lines = [
      status,
      this.provider.reason,
      message,
      job === undefined ? undefined : `${job.title}: ${job.message}`,
    ];
    this.item.tooltip = lines.filter((line) => line !== undefined).join('\n');
    this.item.accessibilityInformation = { label: `MoE Tuner: ${status}${percent}` };
    this.item.backgroundColor = state === 'failed' ? new vscode.ThemeColor('statusBarItem.errorBackground') : undefined;
  }
}
