import path from 'node:path';
import * as vscode from 'vscode';
import { FindingsPublisher } from './common/findingsPublisher';
import { configSelector, folderOf, planSelector } from './common/documents';
import { useTranslator } from './common/localize';
import { ProviderInUse } from './common/providerInUse';
import { RecentLog } from './common/recentLog';
import { affectsEngine } from './common/settings';
import { pickBudget } from './commands/findBudgets';
import { JobRunner } from './commands/jobRunner';
import { openCheckpointFolder } from './commands/openCheckpoint';
import { registerCommands } from './commands/registerCommands';
import type { Services } from './commands/services';
import { CheckpointFinder } from './config/checkpointFinder';
import { CheckpointStore } from './config/checkpointStore';
import { ConfigDecorations } from './config/configDecorations';
import { readConfigFacts } from './config/configFacts';
import { configFindings } from './config/configFindings';
import { ConfigHoverProvider } from './config/configHoverProvider';
import { ConfigLensProvider } from './config/configLensProvider';
import { GenaiLensProvider } from './config/genaiLensProvider';
import { InspectOnDemand } from './config/inspectOnDemand';
import { createEngine } from './createEngine';
import { PlanEditorProvider } from './plan/planEditorProvider';
import { PlanFeatures } from './plan/planFeatures';
import { testApi, type TestApi } from './testApi';
import { CheckpointTree } from './views/checkpointTree';
import type { DashboardBackend } from './views/dashboardHost';
import { DashboardViews } from './views/dashboardViews';
import { PlaygroundViews } from './views/playgroundViews';
import { buildSnapshot } from './views/snapshot';
import { exportSection } from './views/exportSection';
import { StatusItem } from './views/statusItem';

/** Puts the extension together. Starts no process and reads no file: the engine starts when someone needs it. */
export function activate(context: vscode.ExtensionContext): TestApi | undefined {
  const started = performance.now();
  useTranslator((message, values) => vscode.l10n.t(message, values));
  const own = <Part extends { dispose(): unknown }>(part: Part): Part => {
    context.subscriptions.push(part);
    return part;
  };

  const output = own(vscode.window.createOutputChannel('MoE Tuner', { log: true }));
  const log = new RecentLog(output);
  const engine = own(createEngine(context, log));
  const provider = own(new ProviderInUse());
  const store = own(new CheckpointStore(engine));
  const jobs = own(new JobRunner(() => output.show()));
  const inspector = own(new InspectOnDemand(store));
  const finder = own(new CheckpointFinder(store, (folder) => inspector.folderChanged(folder)));
  const services: Services = { context, engine, store, finder, jobs, provider, output, log };

  const lenses = own(new ConfigLensProvider(store));
  own(new GenaiLensProvider(engine));
  const decorations = own(new ConfigDecorations(store));
  own(new ConfigHoverProvider(decorations, store));
  const plans = own(new PlanFeatures(store));
  own(publishFindings(store, plans));
  own(new CheckpointTree(store, (visible) => inspector.viewChanged('tree', visible)));
  const dashboard = own(
    new DashboardViews(context.extensionUri, dashboardBackend(services), (visible) =>
      inspector.viewChanged('dashboard', visible),
    ),
  );
  const planEditors = own(
    new PlanEditorProvider(context.extensionUri, {
      store,
      engine,
      job: () => jobs.current,
      onDidChangeJob: (listener) => jobs.onDidChange(listener),
      log,
    }),
  );
  const playground = own(new PlaygroundViews(context.extensionUri, services));
  own(new StatusItem(engine, provider, jobs));
  context.subscriptions.push(
    ...registerCommands(services, {
      reveal: () => dashboard.reveal(),
      openInEditor: () => dashboard.openInEditor(),
      showPlayground: (target) => playground.show(target),
    }),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (affectsEngine(event)) {
        engine.settingsChanged();
      }
    }),
  );

  setImmediate(() => {
    inspector.lookAround();
    finder.search().then(
      () => inspector.lookAround(),
      (error: unknown) => log.error(`The workspace could not be searched: ${String(error)}`),
    );
  });
  const activationMilliseconds = performance.now() - started;
  log.info(`Activated in ${activationMilliseconds.toFixed(1)} ms.`);
  return context.extensionMode === vscode.ExtensionMode.Test
    ? testApi(services, { decorations, lenses, planEditors }, activationMilliseconds)
    : undefined;
}

function publishFindings(store: CheckpointStore, plans: PlanFeatures): FindingsPublisher {
  const config = {
    selector: configSelector,
    findings: (document: vscode.TextDocument) => {
      const folder = folderOf(document.uri);
      const entry = folder === undefined ? undefined : store.get(folder);
      return configFindings(document.getText(), readConfigFacts(document.getText()), entry, !document.isDirty);
    },
  };
  const plan = { selector: planSelector, findings: (document: vscode.TextDocument) => plans.findings(document) };
  return new FindingsPublisher([config, plan], (listener) => store.onDidChange(listener));
}

function dashboardBackend(services: Services): DashboardBackend {
  const { engine, jobs, log, provider, store } = services;
  return {
    snapshot: () =>
      buildSnapshot({
        status: engine.status,
        provider: provider.name,
        checkpoints: store.all(),
        selected: store.selected,
        job: jobs.current,
        lastError: jobs.lastError,
        trusted: vscode.workspace.isTrusted,
      }),
    selectedFolder: () => store.selected?.folder,
    select: (folder) => store.select(folder),
    pickBudget: (folder, total) => pickBudget(services, folder, total),
    openCheckpoint: () => openCheckpointFolder(services),
    exportSection: (section) => {
      const folder = store.selected?.folder;
      // Beside the checkpoint, not inside: its folder is what loaders read.
      return exportSection(section, folder === undefined ? undefined : vscode.Uri.file(path.dirname(folder)));
    },
    onDidChange: (listener) =>
      vscode.Disposable.from(
        store.onDidChange(listener),
        jobs.onDidChange(listener),
        provider.onDidChange(listener),
        engine.onDidChangeStatus(listener),
        vscode.workspace.onDidGrantWorkspaceTrust(listener),
      ),
    log,
  };
}
