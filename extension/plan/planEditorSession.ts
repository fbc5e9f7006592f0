import * as vscode from 'vscode';
import { pageVersion } from '../../engine/protocol/pageVersion';
import type { Plan } from '../../engine/protocol/plan';
import {
  planDocumentSchema,
  planEditorMessageSchema,
  planEditorUpdateSchema,
  type LossTableName,
  type PlanDocument,
  type PlanEditorMessage,
  type PlanEditorUpdate,
  type PlanMeasurements,
  type PlanStatus,
} from '../../engine/protocol/planEditor';
import type { RunningJob } from '../commands/jobRunner';
import { debounce } from '../common/debounce';
import { localize } from '../common/localize';
import type { Log } from '../common/log';
import { disposeAll, type Subscription } from '../common/subscription';
import type { CheckpointStore } from '../config/checkpointStore';
import { fileName } from '../config/resultText';
import type { EngineSupervisor } from '../engine/supervisor';
import { matchPlan, type PlanMatch } from './planCheckpoint';
import { planAfter, RefusedEdit } from './planChanges';
import { readPlanDocument } from './planDocumentText';
import { smallestReplacement } from './planEdits';
import { runPlanAction } from './planEditorActions';
import { FrontSolver, frontProblem } from './planFront';
import { planMeasurements } from './planMeasurementsMessage';
import { planScores } from './planScores';
import { SavedFileWatch } from './savedFileWatch';

/** What a plan editor works with. */
export interface PlanEditorBackend {
  readonly store: CheckpointStore;
  readonly engine: Pick<EngineSupervisor, 'request' | 'status' | 'onDidChangeStatus'>;
  readonly job: () => RunningJob | undefined;
  readonly onDidChangeJob: (listener: () => void) => Subscription;
  readonly log: Log;
}

/** Results of jobs come in bursts; the document itself is shown without delay. */
const settleMilliseconds = 40;

type EditMessage = Extract<PlanEditorMessage, { readonly edit: number }>;

/** One page on one plan document: pictures of the document out, edits of its text in. */
export class PlanEditorSession implements vscode.Disposable {
  private ready = false;
  private applied = 0;
  private plan: Plan | undefined;
  private table: LossTableName | undefined;
  private edits: Promise<void> = Promise.resolve();
  private readonly sent = new Map<string, string>();
  /** The routing policy the plan had last: one that was switched off may be switched on again. */
  private seenGates: Plan['gates'];
  private readonly front: FrontSolver;
  private readonly saved: SavedFileWatch;
  private readonly postSoon = debounce(() => this.postAll(), settleMilliseconds);
  private readonly subscriptions: readonly Subscription[];

  constructor(
    private readonly document: vscode.TextDocument,
    private readonly webview: vscode.Webview,
    private readonly backend: PlanEditorBackend,
  ) {
    const { engine, store } = backend;
    this.front = new FrontSolver(
      (layers) => engine.request('solveBudgets', { layers: layers.map((layer) => ({ ...layer })) }),
      (front) => this.post(front),
    );
    this.saved = new SavedFileWatch(document, () => this.postAll());
    this.subscriptions = [
      this.saved,
      this.postSoon,
      webview.onDidReceiveMessage((message: unknown) => void this.receive(message)),
      vscode.workspace.onDidChangeTextDocument((event) => {
        if (event.document === document) {
          this.postAll();
        }
      }),
      store.onDidChange(() => this.postSoon()),
      backend.onDidChangeJob(() => this.postSoon()),
      engine.onDidChangeStatus(() => this.postSoon()),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.postSoon()),
    ];
  }

  get uri(): vscode.Uri {
    return this.document.uri;
  }

  /** The document as the page was told last; undefined before the page has asked. */
  get shown(): PlanDocument | undefined {
    const text = this.sent.get('document');
    return text === undefined ? undefined : planDocumentSchema.parse(JSON.parse(text));
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private match(plan: Plan | undefined): PlanMatch | undefined {
    const { uri } = this.document;
    return uri.scheme === 'file' ? matchPlan(plan, uri.fsPath, this.backend.store.all()) : undefined;
  }

  private measurements(): PlanMeasurements {
    const file = this.document.uri.fsPath;
    return planMeasurements(this.plan, file, this.match(this.plan), vscode.workspace.isTrusted, this.seenGates);
  }

  private documentMessage(): PlanDocument {
    const { plan, problem } = readPlanDocument(this.document.getText());
    this.plan = plan ?? this.plan;
    this.seenGates = plan?.gates ?? this.seenGates;
    return {
      kind: 'document',
      fileName: fileName(this.document.uri.path),
      applied: this.applied,
      writable: vscode.workspace.fs.isWritableFileSystem(this.document.uri.scheme) !== false,
      changedOnDisk: this.saved.differs,
      ...(this.plan === undefined ? {} : { plan: this.plan }),
      ...(problem === undefined ? {} : { problem }),
    };
  }

  private statusMessage(): PlanStatus {
    const { state, message } = this.backend.engine.status;
    const job = this.backend.job();
    return {
      kind: 'status',
      engine: { state, ...(message === undefined ? {} : { message }) },
      ...(job === undefined
        ? {}
        : {
            job: {
              title: job.title,
              message: job.message,
              fraction: job.fraction,
              ...(job.stopping === undefined ? {} : { stopping: job.stopping }),
            },
          }),
    };
  }

  /** Shows everything that differs from what was sent last. */
  private postAll(): void {
    // A page that is still loading asks with `ready`; what is posted to it before is lost.
    if (!this.ready) {
      return;
    }
    this.post(this.documentMessage());
    const measurements = this.measurements();
    this.post(measurements);
    this.post(this.statusMessage());
    this.postScores(measurements);
    const trusted = vscode.workspace.isTrusted;
    void this.front.show(trusted ? frontProblem(this.plan, measurements, this.table) : undefined);
  }

  /** Large and rarely new: told apart by the run they come from, not by their numbers. */
  private postScores({ layers }: PlanMeasurements): void {
    const entry = this.match(this.plan)?.checkpoint;
    for (const scores of entry === undefined ? [] : planScores(entry, layers)) {
      const { method, finished, stale } = scores;
      this.post(scores, `scores of ${method}`, JSON.stringify([finished, stale, layers.length]));
    }
  }

  /** Sends what differs from what was sent last on the same topic. */
  private post(update: PlanEditorUpdate, topic: string = update.kind, text = JSON.stringify(update)): void {
    if (!this.ready || this.sent.get(topic) === text) {
      return;
    }
    const parsed = planEditorUpdateSchema.safeParse(update);
    if (!parsed.success) {
      this.backend.log.error(`The ${update.kind} for the plan editor is malformed: ${parsed.error.message}`);
      return;
    }
    this.sent.set(topic, text);
    void this.webview.postMessage(parsed.data);
  }

  /** Takes a message of the page; what it asks for is done when this settles. */
  async receive(message: unknown): Promise<void> {
    const parsed = planEditorMessageSchema.safeParse(message);
    if (!parsed.success) {
      this.backend.log.warn(`Malformed message from the plan editor: ${parsed.error.message}`);
      return;
    }
    try {
      await this.handle(parsed.data);
    } catch (error) {
      this.backend.log.error(`Plan editor ${parsed.data.kind}: ${String(error)}`);
    }
  }

  private async handle(message: PlanEditorMessage): Promise<void> {
    switch (message.kind) {
      case 'ready':
        if (message.version !== pageVersion) {
          this.backend.log.error(`The plan editor's page has protocol ${message.version}, not ${pageVersion}.`);
          return;
        }
        // A page that was loaded again knows nothing and counts its edits from 1.
        this.ready = true;
        this.applied = 0;
        this.sent.clear();
        this.postAll();
        this.post(this.front.current);
        return;
      case 'useTable':
        this.table = message.table;
        this.postAll();
        return;
      case 'openText':
        await this.openText(message.line);
        return;
      case 'action':
        await runPlanAction(message.action, this.document, this.match(this.plan)?.checkpoint.folder);
        return;
      case 'setBudgets':
      case 'setLocked':
      case 'setKept':
      case 'setBits':
      case 'setGates':
        // One after the other: each is made on the text that the one before left.
        this.edits = this.edits.then(() => this.edit(message));
        await this.edits;
    }
  }

  /** One gesture, one replacement, one step of undo. */
  private async edit(message: EditMessage): Promise<void> {
    try {
      const text = this.document.getText();
      const { plan } = readPlanDocument(text);
      if (plan === undefined) {
        throw new RefusedEdit(localize('The plan cannot be read just now.'));
      }
      const replacement = smallestReplacement(text, planAfter(text, message, plan, this.measurements()));
      if (replacement !== undefined) {
        const { offset, length } = replacement;
        const range = new vscode.Range(this.document.positionAt(offset), this.document.positionAt(offset + length));
        const edit = new vscode.WorkspaceEdit();
        edit.replace(this.document.uri, range, replacement.text);
        // Set first: the document changes, and is shown, before the edit is answered.
        this.applied = message.edit;
        if (!(await vscode.workspace.applyEdit(edit))) {
          throw new RefusedEdit(localize('The plan could not be changed: another edit came first.'));
        }
      }
    } catch (error) {
      if (!(error instanceof RefusedEdit)) {
        throw error;
      }
      void vscode.window.showWarningMessage(error.message);
    } finally {
      this.applied = message.edit;
      this.postAll();
    }
  }

  private async openText(line: number | undefined): Promise<void> {
    const at = line === undefined ? undefined : new vscode.Position(line - 1, 0);
    const options = at === undefined ? {} : { selection: new vscode.Range(at, at) };
    await vscode.window.showTextDocument(this.document, { ...options, preview: false });
  }
}
