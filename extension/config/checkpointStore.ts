import { Emitter, type Event } from 'vscode-jsonrpc/node';
import type { BudgetResult } from '../../engine/protocol/budget';
import type { CalibrateResult } from '../../engine/protocol/calibration';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import {
  decidedBitsSchema,
  measuredBudgetSchema,
  type DecidedBits,
  type MeasuredBudget,
} from '../../engine/protocol/dashboard';
import { toTunerError, type TunerError } from '../../engine/protocol/errors';
import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { ExpertScores, PruneRun } from '../../engine/protocol/expertScores';
import type { MergeRun } from '../../engine/protocol/merging';
import type { PlanGates } from '../../engine/protocol/plan';
import type { ProfileResult } from '../../engine/protocol/sensitivity';
import type { EngineSupervisor } from '../engine/supervisor';

/** `found`: the config looks like it; `ready` and `failed`: the engine read the headers. */
export type CheckpointState = 'found' | 'inspecting' | 'ready' | 'failed';

/** Everything the editor knows about one checkpoint folder. Entries are replaced, never changed. */
export interface CheckpointEntry {
  /** Absolute path. */
  readonly folder: string;
  readonly label: string;
  readonly state: CheckpointState;
  readonly summary?: CheckpointSummary;
  readonly error?: TunerError;
  readonly profile?: ProfileResult;
  readonly budget?: BudgetResult;
  /** Budget runs that measured their choice, oldest first, the newest of every total. */
  readonly measuredBudgets?: readonly MeasuredBudget[];
  /** The newest pass of text through the model. */
  readonly calibration?: CalibrateResult;
  /** Of each method that ranked the experts, its newest scores. */
  readonly expertScores?: readonly ExpertScores[];
  /** What pruning decided, oldest first. */
  readonly pruneRuns?: readonly PruneRun[];
  /** What merging decided, oldest first. */
  readonly mergeRuns?: readonly MergeRun[];
  /** What quantizing decided, oldest first. */
  readonly quantizations?: readonly DecidedBits[];
  /** Budget runs that decided about the gates, oldest first. */
  readonly gateRuns?: readonly GateRun[];
  /** Oldest first. */
  readonly evaluations: readonly EvaluateResult[];
}

/** What a budget run did to the gates, and for which numbers. */
export interface GateRun {
  readonly fingerprint: string;
  readonly activeExperts: readonly number[];
  readonly gates: PlanGates;
}

export interface FoundCheckpoint {
  readonly folder: string;
  readonly label: string;
}

/** Evaluations kept per checkpoint; older ones leave the editor and stay in the engine's history. */
const keptEvaluations = 20;

/** The runs that measured what they chose, oldest first; a later run of the same total takes the place of an earlier one. */
function measuredRuns(budgets: readonly (BudgetResult | MeasuredBudget)[]): MeasuredBudget[] {
  const byTotal = new Map<number, MeasuredBudget>();
  for (const budget of budgets.filter(({ measured }) => measured !== undefined)) {
    byTotal.delete(budget.total);
    byTotal.set(budget.total, measuredBudgetSchema.parse(budget));
  }
  return [...byTotal.values()];
}

function gateRunsOf(budgets: readonly BudgetResult[]): GateRun[] {
  return budgets.flatMap(({ fingerprint, activeExperts, gates }) =>
    gates === undefined ? [] : [{ fingerprint, activeExperts, gates }],
  );
}

/** The checkpoints of the workspace and their results: the one source that lenses, tree and dashboard draw from. */
export class CheckpointStore {
  readonly onDidChange: Event<void>;

  private readonly changeEmitter = new Emitter<void>();
  private readonly entries = new Map<string, CheckpointEntry>();
  private readonly inspections = new Map<string, Promise<CheckpointEntry>>();
  private selectedFolder: string | undefined;

  constructor(private readonly engine: Pick<EngineSupervisor, 'request'>) {
    this.onDidChange = this.changeEmitter.event;
  }

  all(): readonly CheckpointEntry[] {
    return [...this.entries.values()].sort((one, other) => one.label.localeCompare(other.label));
  }

  get(folder: string): CheckpointEntry | undefined {
    return this.entries.get(folder);
  }

  /** The checkpoint the dashboard shows: the one chosen last, else the first. */
  get selected(): CheckpointEntry | undefined {
    return this.entries.get(this.selectedFolder ?? '') ?? this.all()[0];
  }

  select(folder: string): void {
    if (this.selectedFolder !== folder && this.entries.has(folder)) {
      this.selectedFolder = folder;
      this.changeEmitter.fire();
    }
  }

  /** Makes a folder known; what is known about it already stays. */
  add(found: FoundCheckpoint): void {
    const known = this.entries.get(found.folder);
    if (known?.label !== found.label) {
      this.entries.set(found.folder, { state: 'found', evaluations: [], ...known, ...found });
      this.changeEmitter.fire();
    }
  }

  /** Forgets a folder that was deleted or left the workspace. */
  remove(folder: string): void {
    if (this.entries.delete(folder)) {
      this.changeEmitter.fire();
    }
  }

  /** Reads headers and earlier results through the engine; a failure becomes the entry's error, it is not thrown. */
  inspect(folder: string, again = false): Promise<CheckpointEntry> {
    const known = this.entries.get(folder);
    const running = this.inspections.get(folder);
    if (running !== undefined) {
      return running;
    }
    if (!again && known !== undefined && (known.state === 'ready' || known.state === 'failed')) {
      return Promise.resolve(known);
    }
    const inspection = this.inspectNow(folder).finally(() => this.inspections.delete(folder));
    this.inspections.set(folder, inspection);
    return inspection;
  }

  /** Inspects again on the next use, because files of the checkpoint changed. */
  invalidate(folder: string): void {
    const known = this.entries.get(folder);
    if (known !== undefined && known.state !== 'found') {
      this.update(folder, { state: 'found' });
    }
  }

  addProfile(folder: string, profile: ProfileResult): void {
    this.update(folder, { profile });
  }

  addBudget(folder: string, budget: BudgetResult): void {
    const { measuredBudgets = [], gateRuns = [] } = this.entries.get(folder) ?? {};
    this.update(folder, {
      budget,
      measuredBudgets: measuredRuns([...measuredBudgets, budget]),
      gateRuns: [...gateRuns, ...gateRunsOf([budget])],
    });
  }

  addCalibration(folder: string, calibration: CalibrateResult): void {
    this.update(folder, { calibration });
  }

  addEvaluation(folder: string, evaluation: EvaluateResult): void {
    const evaluations = [...(this.entries.get(folder)?.evaluations ?? []), evaluation];
    this.update(folder, { evaluations: evaluations.slice(-keptEvaluations) });
  }

  /** Forgets all results, after the cache was cleared. */
  clearResults(): void {
    for (const { folder, label, state, summary, error } of this.entries.values()) {
      const found = { folder, label, state, evaluations: [] };
      this.entries.set(folder, { ...found, ...(summary && { summary }), ...(error && { error }) });
    }
    this.changeEmitter.fire();
  }

  dispose(): void {
    this.changeEmitter.dispose();
  }

  private async inspectNow(folder: string): Promise<CheckpointEntry> {
    this.update(folder, { state: 'inspecting' });
    try {
      const summary = await this.engine.request('inspect', { checkpoint: folder });
      const history = await this.engine.request('history', { checkpoint: folder });
      const profile = history.profiles.at(-1);
      const budget = history.budgets.at(-1);
      const measuredBudgets = measuredRuns(history.budgets);
      const calibration = history.calibrations.at(-1);
      // Results of an earlier state of the files stay visible, marked as stale, until there are new ones.
      return this.update(folder, {
        state: 'ready',
        summary,
        ...(profile === undefined ? {} : { profile }),
        ...(budget === undefined ? {} : { budget }),
        ...(calibration === undefined ? {} : { calibration }),
        ...(measuredBudgets.length === 0 ? {} : { measuredBudgets }),
        expertScores: history.expertScores,
        pruneRuns: history.pruneRuns,
        mergeRuns: history.mergeRuns.slice(-keptEvaluations),
        quantizations: history.quantizations.slice(-keptEvaluations).map((run) => decidedBitsSchema.parse(run)),
        gateRuns: gateRunsOf(history.budgets),
        ...(history.evaluations.length === 0 ? {} : { evaluations: history.evaluations.slice(-keptEvaluations) }),
      });
    } catch (error) {
      const failure = toTunerError(error);
      // An engine that ended says nothing about the checkpoint: the next use asks again.
      return this.update(folder, { state: failure.kind === 'input' ? 'failed' : 'found', error: failure });
    }
  }

  private update(folder: string, change: Partial<CheckpointEntry>): CheckpointEntry {
    const known = this.entries.get(folder) ?? {
      folder,
      label: folder.split(/[\\/]/).at(-1) ?? folder,
      state: 'found' as const,
      evaluations: [],
    };
    const entry: CheckpointEntry = { ...known, ...change };
    if (entry.state === 'ready') {
      delete (entry as { error?: TunerError }).error;
    }
    this.entries.set(folder, entry);
    this.changeEmitter.fire();
    return entry;
  }
}
