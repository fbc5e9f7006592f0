import type { Plan } from '../../engine/protocol/plan';
import type {
  LossTable,
  LossTableName,
  PlanDocument,
  PlanFront,
  PlanMeasurements,
  PlanScores,
  PlanStatus,
} from '../../engine/protocol/planEditor';

/** Everything the sections draw: the plan with the edits that are under way, and what is known about its checkpoint. */
export interface PlanView {
  readonly document: PlanDocument;
  readonly plan: Plan;
  readonly measurements: PlanMeasurements;
  /** What methods think of the experts, by method. */
  readonly scores: ReadonlyMap<string, PlanScores>;
  readonly front: PlanFront | undefined;
  readonly status: PlanStatus | undefined;
  readonly layers: readonly LayerState[];
  /** Whether gestures may change the plan. */
  readonly editable: boolean;
}

/** One MoE layer as the plan has it. */
export interface LayerState {
  /** Place among the MoE layers, from 0. */
  readonly position: number;
  /** Index of the decoder layer; undefined where no checkpoint tells it. */
  readonly index: number | undefined;
  /** What the layer is called on axes and in sentences. */
  readonly name: string;
  readonly active: number;
  /** Active experts as trained: the most that a gesture gives. */
  readonly trained: number;
  readonly experts: number;
  readonly locked: boolean;
  readonly expertBytes: number | undefined;
  readonly expertParameters: number | undefined;
}

/** The numbers of a plan, or those the model was trained with where it has none. Undefined where neither is known. */
export function numbersOf(plan: Plan, { layers }: PlanMeasurements): readonly number[] | undefined {
  return plan.activeExperts ?? (layers.length === 0 ? undefined : layers.map(({ trained }) => trained));
}

/** The layers of a plan; empty where the plan has no numbers, or another count of them than the checkpoint has layers. */
export function layersOf(plan: Plan, measurements: PlanMeasurements): readonly LayerState[] {
  const numbers = numbersOf(plan, measurements);
  const { layers } = measurements;
  if (numbers === undefined || (layers.length > 0 && layers.length !== numbers.length)) {
    return [];
  }
  const locked = new Set(plan.locked);
  const most = Math.max(...numbers);
  return numbers.map((active, position) => {
    const layer = layers[position];
    const trained = layer?.trained ?? plan.source?.activeExperts ?? most;
    return {
      position,
      index: layer?.index,
      name: String(layer?.index ?? position),
      active,
      trained,
      experts: layer?.experts ?? plan.source?.experts ?? trained,
      locked: layer !== undefined && locked.has(layer.index),
      expertBytes: layer?.expertBytes,
      expertParameters: layer?.expertParameters,
    };
  });
}

/** The table that is drawn and solved: the chosen one, else the first that belongs to the weights as they are. */
export function tableInUse({ tables }: PlanMeasurements, chosen: LossTableName | undefined): LossTable | undefined {
  return tables.find(({ name }) => name === chosen) ?? tables.find(({ stale }) => !stale) ?? tables[0];
}

/** Predicted loss of a layer at some number of active experts; beyond the trained number nothing is predicted. */
export function lossAt(table: LossTable | undefined, position: number, active: number): number | undefined {
  return table?.rows[position]?.[active - 1];
}
