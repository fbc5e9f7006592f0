import * as z from 'zod';
import { budgetResultSchema } from './budget';
import { checkpointSummarySchema } from './checkpointSummary';
import { evaluateResultSchema } from './evaluation';
import { profileResultSchema } from './sensitivity';

/** What the engine does right now, as the status item and the dashboard show it. */
export const engineStates = ['stopped', 'starting', 'idle', 'busy', 'failed'] as const;

/** Actions the dashboard can ask the extension host for; each is a command as well. */
export const dashboardActions = [
  'profile',
  'findBudgets',
  'evaluate',
  'cancel',
  'openConfig',
  'openCheckpoint',
  'openSample',
  'showLog',
] as const;

/** A complete picture of what the dashboard shows. Snapshots replace each other: latest wins, never deltas. */
export const dashboardSnapshotSchema = z.object({
  kind: z.literal('snapshot'),
  engine: z.object({ state: z.enum(engineStates), provider: z.string().optional(), message: z.string().optional() }),
  checkpoints: z.array(z.object({ folder: z.string(), label: z.string() })),
  selected: z.string().optional(),
  summary: checkpointSummarySchema.optional(),
  profile: profileResultSchema.optional(),
  budget: budgetResultSchema.optional(),
  evaluations: z.array(evaluateResultSchema),
  job: z.object({ title: z.string(), message: z.string(), fraction: z.number() }).optional(),
  error: z.object({ message: z.string(), wayOut: z.string().optional() }).optional(),
  /** Set when the checkpoint changed after the results were measured. */
  stale: z.boolean(),
  trusted: z.boolean(),
});

/** Messages from the dashboard to the extension host. */
export const dashboardMessageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready'), version: z.number() }),
  z.object({ kind: z.literal('action'), action: z.enum(dashboardActions) }),
  z.object({ kind: z.literal('select'), folder: z.string() }),
  /** Take one point of the front as the plan: total of active experts. */
  z.object({ kind: z.literal('pickBudget'), total: z.number().int().positive() }),
]);

export type EngineState = (typeof engineStates)[number];
export type DashboardAction = (typeof dashboardActions)[number];
export type DashboardSnapshot = z.infer<typeof dashboardSnapshotSchema>;
export type DashboardMessage = z.infer<typeof dashboardMessageSchema>;
