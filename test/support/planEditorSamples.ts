import { solveBudgets } from '../../engine/jobs/solveBudgets';
import type { Plan } from '../../engine/protocol/plan';
import type {
  LossTable,
  PlanDocument,
  PlanFront,
  PlanMeasurements,
  PlanScores,
  PlanStatus,
} from '../../engine/protocol/planEditor';
import { evaluations, outputChange, summary } from './webviewSnapshots';

const trained = 8;

export const samplePlan: Plan = {
  version: 1,
  source: {
    checkpoint: summary.name,
    family: summary.family,
    fingerprint: summary.fingerprint,
    experts: 32,
    activeExperts: trained,
  },
  activeExperts: [3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 6, 6],
  budget: { objective: 'relative-squared', solver: 'exact', total: 60, predicted: 0.21, seed: 0 },
};

export const lossTable: LossTable = {
  name: 'relative-squared',
  objective: 'relative-squared',
  rows: outputChange.map((row) => row.map((change) => (change / 1.9) ** 2)),
  tokens: 16384,
  input: 'gaussian',
  stale: false,
};

export const lexiTable: LossTable = {
  ...lossTable,
  name: 'lexi',
  objective: 'lexi',
  rows: outputChange.map((row) => [...row]),
};

export function documentOf(plan: Plan | undefined, part: Partial<PlanDocument> = {}): PlanDocument {
  return {
    kind: 'document',
    fileName: 'sample.moeplan.json',
    applied: 0,
    writable: true,
    changedOnDisk: false,
    ...(plan === undefined ? {} : { plan }),
    ...part,
  };
}

export const measurements: PlanMeasurements = {
  kind: 'measurements',
  state: 'ready',
  checkpoint: summary.name,
  layers: outputChange.map((_, index) => ({
    index,
    experts: 32,
    trained,
    expertBytes: 122_880,
    expertParameters: 61_440,
  })),
  tables: [lossTable, lexiTable],
  solved: [3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 6, 6],
  scored: [],
  gates: [],
  evaluations: [],
  canEvaluate: true,
};

export const idle: PlanStatus = { kind: 'status', engine: { state: 'idle' } };

export const running: PlanStatus = {
  kind: 'status',
  engine: { state: 'busy' },
  job: { title: 'Evaluating sample.moeplan.json', message: 'Layer 4 of 12', fraction: 0.4 },
};

/** The evaluations of the dashboard's samples as runs of this plan. */
export const evaluated: PlanMeasurements = {
  ...measurements,
  evaluations: evaluations.map((run) => ({ ...run, plan: '/models/sample.moeplan.json', stale: false })),
};

/** The front of a table with some layers locked, as the engine gives it. */
export async function frontOf(table: LossTable, locked: PlanFront['locked'] = []): Promise<PlanFront> {
  const lockedAt = new Map(locked.map(({ position, active }) => [position, active]));
  const { points } = await solveBudgets({
    layers: table.rows.map((loss, layer) => ({
      layer,
      loss,
      minimum: lockedAt.get(layer) ?? 1,
      maximum: lockedAt.get(layer) ?? loss.length,
    })),
  });
  return { kind: 'front', table: table.name, locked, points };
}

/** A plan, its measurements and nothing running: what a person sees when everything is there. */
export async function everything(): Promise<(PlanDocument | PlanMeasurements | PlanFront | PlanStatus)[]> {
  return [documentOf(samplePlan), evaluated, idle, await frontOf(lossTable)];
}

/** A plan over many layers with its table. */
export function deepPlan(
  layers: number,
  active = trained,
): { plan: Plan; measurements: PlanMeasurements; table: LossTable } {
  const rows = Array.from({ length: layers }, (_, layer) =>
    Array.from(
      { length: active },
      (_, at) => ((active - 1 - at) / active) ** 2 * (0.02 + 0.1 * Math.abs(Math.sin(layer))),
    ),
  );
  const table: LossTable = { ...lossTable, rows };
  return {
    plan: { version: 1, activeExperts: rows.map((_, layer) => 1 + ((layer * 5) % active)) },
    table,
    measurements: {
      ...measurements,
      layers: rows.map((_, index) => ({
        index,
        experts: 128,
        trained: active,
        expertBytes: 1e6,
        expertParameters: 5e5,
      })),
      tables: [table],
      evaluations: [],
    },
  };
}

/** The sample plan with pruned experts and bits, the use of its experts on text, and what two methods think of them. */
export function prunedPlan(): { plan: Plan; measurements: PlanMeasurements; scores: PlanScores[] } {
  const experts = Array.from({ length: 32 }, (_, expert) => expert);
  const keep = outputChange.map((_, layer) => experts.filter((expert) => (expert * 7 + layer * 3) % 5 !== 0));
  const counts = outputChange.map((_, layer) =>
    experts.map((expert) => Math.round((1 + Math.sin(layer + expert * 1.7)) * 2000)),
  );
  const score = (method: PlanScores['method'], title: string, of: (count: number) => number): PlanScores => ({
    kind: 'scores',
    method,
    title,
    rule: `Keeps the experts that ${title} wants.`,
    reference: 'a paper',
    tasks: [],
    calibrationTokens: 24576,
    finished: '2026-01-02T03:04:05Z',
    rows: counts.map((layer) => layer.map(of)),
    stale: false,
  });
  return {
    scores: [
      score('reap', 'Router-weighted activation (REAP)', (count) => 0.01 + ((count * 13) % 997) / 5000),
      score('ean', 'Activation norm (EAN)', (count) => 3 + ((count * 29) % 1009) / 100),
    ],
    plan: {
      ...samplePlan,
      prune: { method: 'reap', keep, calibrationTokens: 24576, seed: 0 },
      quantize: {
        method: 'gptq',
        group: 32,
        symmetric: false,
        scope: 'experts',
        layers: outputChange.map((_, layer) =>
          layer % 3 === 0
            ? 4
            : { gate: 3, up: 3, down: layer % 2 ? 4 : keep[layer]!.map((expert) => (expert % 2 === 0 ? 2 : 4)) },
        ),
        seed: 0,
      },
    },
    measurements: {
      ...measurements,
      scored: ['reap', 'ean'],
      expertUse: {
        tokens: 16000,
        counts,
        weak: outputChange.map((_, layer) => (layer === 4 ? [3, 9] : [])),
        stale: false,
      },
    },
  };
}

/** The sample plan with merged groups in every layer. */
export function mergedPlan(): Plan {
  const groups = outputChange.map((_, layer) => [
    [0, 5, 9 + layer],
    [1, 30],
    [2, 3, 4],
    ...Array.from({ length: 32 }, (_, expert) => expert)
      .filter((expert) => ![0, 1, 2, 3, 4, 5, 30, 9 + layer].includes(expert))
      .map((expert) => [expert]),
  ]);
  return { ...samplePlan, merge: { method: 'hc-smoe', groups, seed: 0 } };
}

/** The sample plan with measured factors on its layers, and measurements that know them and the trained reference. */
export function routedPlan(): { plan: Plan; measurements: PlanMeasurements; scale: number[] } {
  const scale = samplePlan.activeExperts!.map((active) => Number((1 + (trained - active) / 20).toPrecision(4)));
  return {
    scale,
    plan: { ...samplePlan, gates: { scale, calibrationTokens: 8192, seed: 0 } },
    measurements: {
      ...measurements,
      gates: [
        { policy: 'reference', values: scale.map(() => trained), seed: 0, stale: false },
        {
          policy: 'scale',
          values: scale,
          activeExperts: [...samplePlan.activeExperts!],
          tokens: 8192,
          seed: 0,
          stale: false,
        },
      ],
    },
  };
}
