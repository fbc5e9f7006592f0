import * as vscode from 'vscode';
import { commands, type CommandId } from '../common/commandIds';
import { localize } from '../common/localize';
import { showError } from '../common/showError';
import { applyPlan } from './applyPlan';
import { calibrate } from './calibrate';
import { comparePlans } from './comparePlans';
import { evaluateCheckpoint, evaluatePlan } from './evaluate';
import { clearCache, copyDiagnostics, restartEngine, showDoctor } from './engineReports';
import { findBudgets } from './findBudgets';
import { openPlanAsText, openPlanEditor } from './openPlan';
import { openPlayground } from './openPlayground';
import { openSample, type SampleTarget } from './openSample';
import { decideSection } from './planSections';
import { profileSensitivity } from './profile';
import type { PlaygroundTarget } from '../../engine/protocol/playground';
import { isCheckpointNode } from '../views/checkpointNodes';
import { selectProvider } from './selectProvider';
import type { Services } from './services';
import { setActiveExperts } from './setActiveExperts';

type Handler = (...values: unknown[]) => unknown;

/** Ways to show the dashboard and the playground; the views register them. */
export interface DashboardPlaces {
  readonly reveal: () => Promise<void>;
  readonly openInEditor: () => void;
  readonly showPlayground: (target: PlaygroundTarget) => void;
}

/** Options that a person, a keybinding or a test may pass; the engine validates what they hold. */
function optionsOf(value: unknown): object | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof vscode.Uri)
    ? value
    : undefined;
}

async function engineMenu(): Promise<void> {
  const items: readonly (vscode.QuickPickItem & { command: CommandId })[] = [
    { command: 'moeTuner.openDashboard', label: `$(dashboard) ${localize('Open Dashboard')}` },
    { command: 'moeTuner.doctor', label: `$(heart) ${localize('Show Engine Diagnostics')}` },
    { command: 'moeTuner.selectProvider', label: `$(server-process) ${localize('Select Execution Provider')}` },
    { command: 'moeTuner.restartEngine', label: `$(debug-restart) ${localize('Restart Engine')}` },
    { command: 'moeTuner.cancelJob', label: `$(debug-stop) ${localize('Cancel Running Job')}` },
    { command: 'moeTuner.showLog', label: `$(output) ${localize('Show Log')}` },
  ];
  const choice = await vscode.window.showQuickPick(items, { placeHolder: localize('MoE Tuner engine') });
  if (choice !== undefined) {
    await vscode.commands.executeCommand(choice.command);
  }
}

async function openConfig(argument: unknown): Promise<void> {
  const folder = isCheckpointNode(argument) ? argument.folder : argument;
  if (typeof folder === 'string') {
    const file = vscode.Uri.joinPath(vscode.Uri.file(folder), 'config.json');
    await vscode.window.showTextDocument(file);
  }
}

function handlers(services: Services, dashboard: DashboardPlaces): Record<CommandId, Handler> {
  const { finder, jobs, output, store } = services;
  const select = (argument: unknown): void => {
    const folder = isCheckpointNode(argument) ? argument.folder : argument;
    if (typeof folder === 'string') {
      store.select(folder);
    }
  };
  return {
    'moeTuner.profile': (argument, options) => profileSensitivity(services, argument, optionsOf(options)),
    'moeTuner.findBudgets': (argument, options) => findBudgets(services, argument, optionsOf(options)),
    'moeTuner.calibrate': (argument, options) => calibrate(services, argument, optionsOf(options)),
    'moeTuner.prune': (argument, options) => decideSection(services, 'prune', argument, optionsOf(options)),
    'moeTuner.merge': (argument, options) => decideSection(services, 'merge', argument, optionsOf(options)),
    'moeTuner.quantize': (argument, options) => decideSection(services, 'quantize', argument, optionsOf(options)),
    'moeTuner.evaluate': (argument, options) => evaluateCheckpoint(services, argument, optionsOf(options)),
    'moeTuner.evaluatePlan': (argument, options) => evaluatePlan(services, argument, optionsOf(options)),
    'moeTuner.applyPlan': (argument, options) => applyPlan(services, argument, optionsOf(options)),
    'moeTuner.generate': (argument) => openPlayground(services, (target) => dashboard.showPlayground(target), argument),
    'moeTuner.setActiveExperts': (argument, options) => setActiveExperts(services, argument, optionsOf(options)),
    'moeTuner.openPlanEditor': (argument) => openPlanEditor(argument),
    'moeTuner.openPlanAsText': (argument) => openPlanAsText(argument),
    'moeTuner.comparePlans': (argument) => comparePlans(argument),
    'moeTuner.openSample': (target) => openSample(services, target as SampleTarget | undefined),
    'moeTuner.openDashboard': (argument) => {
      select(argument);
      return dashboard.reveal();
    },
    'moeTuner.openDashboardInEditor': (argument) => {
      select(argument);
      dashboard.openInEditor();
    },
    'moeTuner.refreshCheckpoints': async () => {
      await finder.search();
      if (vscode.workspace.isTrusted) {
        await Promise.all(store.all().map(({ folder }) => store.inspect(folder, true)));
      }
    },
    'moeTuner.doctor': () => showDoctor(services),
    'moeTuner.selectProvider': () => selectProvider(services),
    'moeTuner.restartEngine': () => restartEngine(services),
    'moeTuner.cancelJob': () => jobs.cancel(),
    'moeTuner.showLog': () => output.show(),
    'moeTuner.clearCache': () => clearCache(services),
    'moeTuner.copyDiagnostics': () => copyDiagnostics(services),
    'moeTuner.openConfig': openConfig,
    'moeTuner.engineMenu': engineMenu,
  };
}

/** Registers every command of the table; a failure reaches the person, whichever command it was. */
export function registerCommands(services: Services, dashboard: DashboardPlaces): vscode.Disposable[] {
  const table = handlers(services, dashboard);
  const showLog = (): void => services.output.show();
  return (Object.keys(commands) as CommandId[]).map((id) =>
    vscode.commands.registerCommand(id, async (...values: unknown[]) => {
      try {
        await table[id](...values);
      } catch (error) {
        services.log.error(`${id}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        await showError(error, { showLog });
      }
    }),
  );
}
