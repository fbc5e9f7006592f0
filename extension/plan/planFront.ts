import type { Plan } from '../../engine/protocol/plan';
import type { LossTable, LossTableName, PlanFront, PlanMeasurements } from '../../engine/protocol/planEditor';
import type { SolvedLayer, SolveBudgetsResult } from '../../engine/protocol/solveBudgets';
import { toTunerError } from '../../engine/protocol/errors';

/** A front that can be asked for: the table, and what is locked. */
export interface FrontProblem {
  readonly table: LossTableName;
  readonly locked: PlanFront['locked'];
  readonly layers: readonly SolvedLayer[];
}

/** The table that the page chose, else the first one that belongs to the weights as they are. */
export function tableInUse({ tables }: PlanMeasurements, chosen: LossTableName | undefined): LossTable | undefined {
  return tables.find(({ name }) => name === chosen) ?? tables.find(({ stale }) => !stale) ?? tables[0];
}

/**
 * The problem behind the slider of the plan editor: every layer between 1 and the number it was trained with, locked ones at the
 * number they have. Undefined where there is no table or the plan does not fit the layers.
 */
export function frontProblem(
  plan: Plan | undefined,
  measurements: PlanMeasurements,
  chosen: LossTableName | undefined,
): FrontProblem | undefined {
  const table = tableInUse(measurements, chosen);
  const { layers } = measurements;
  const numbers = plan?.activeExperts ?? layers.map(({ trained }) => trained);
  if (table === undefined || plan === undefined || numbers.length !== layers.length) {
    return undefined;
  }
  const lockedLayers = new Set(plan.locked);
  const locked = layers.flatMap(({ index }, position) =>
    lockedLayers.has(index) ? [{ position, active: numbers[position] ?? 1 }] : [],
  );
  const lockedAt = new Map(locked.map(({ position, active }) => [position, active]));
  return {
    table: table.name,
    locked,
    layers: layers.map(({ index, trained }, position) => {
      const active = lockedAt.get(position);
      const row = table.rows[position] ?? [];
      // More experts than trained lose nothing more than all of them.
      const loss = Array.from({ length: Math.max(active ?? 1, trained) }, (_, at) => row[at] ?? row.at(-1) ?? 0);
      return { layer: index, loss, minimum: active ?? 1, maximum: active ?? trained };
    }),
  };
}

/** Solves fronts, the latest problem wins; a problem that was just solved is not solved again. */
export class FrontSolver {
  private wanted = '';
  private result: PlanFront = { kind: 'front', locked: [], points: [] };

  constructor(
    private readonly solve: (layers: readonly SolvedLayer[]) => Promise<SolveBudgetsResult>,
    private readonly onSolved: (front: PlanFront) => void,
  ) {}

  get current(): PlanFront {
    return this.result;
  }

  /** Makes the front that of this problem, now or when the engine has answered. */
  async show(problem: FrontProblem | undefined): Promise<void> {
    const key = problem === undefined ? '' : JSON.stringify(problem);
    if (key === this.wanted) {
      return;
    }
    this.wanted = key;
    if (problem === undefined) {
      this.finish({ kind: 'front', locked: [], points: [] });
      return;
    }
    const { table, locked } = problem;
    try {
      const { points } = await this.solve(problem.layers);
      this.finishIf(key, { kind: 'front', table, locked, points });
    } catch (error) {
      this.finishIf(key, { kind: 'front', table, locked, points: [], reason: toTunerError(error).message });
      // The next occasion may find an engine that answers.
      this.wanted = this.wanted === key ? '?' : this.wanted;
    }
  }

  private finishIf(key: string, front: PlanFront): void {
    if (this.wanted === key) {
      this.finish(front);
    }
  }

  private finish(front: PlanFront): void {
    this.result = front;
    this.onSolved(front);
  }
}
