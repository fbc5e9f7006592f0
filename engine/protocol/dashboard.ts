import * as z from 'zod';
import { budgetResultSchema } from './budget';
import { calibrateResultSchema } from './calibration';
import { checkpointSummarySchema } from './checkpointSummary';
import { engineStates } from './engineStates';
import { evaluateResultSchema } from './evaluation';
import { pruneRunSchema } from './expertScores';
import { exportedSectionSchema } from './exportedSection';
import { mergeRunSchema } from './merging';
import { quantizeResultSchema } from './quantization';
import { profileResultSchema } from './sensitivity';

/** Actions the dashboard can ask the extension host for; each is a command as well. */
export const dashboardActions = [
  'profile',
  'findBudgets',
  'evaluate',
  'calibrate',
  'prune',
  'merge',
  'quantize',
  'applyPlan',
  'cancel',
  'openConfig',
  'openCheckpoint',
  'openSample',
  'showLog',
] as const;

/** What one budget run measured on the whole model: a budget result without its front and table, which are large. */
export const measuredBudgetSchema = budgetResultSchema.pick({
  fingerprint: true,
  layers: true,
  activeExperts: true,
  total: true,
  chosen: true,
  measured: true,
  candidates: true,
  rankCorrelation: true,
  calibrationTokens: true,
  interrupted: true,
});

/** What one quantize run decided: its result without the layers, which are many. */
export const decidedBitsSchema = quantizeResultSchema.pick({
  fingerprint: true,
  method: true,
  averageBits: true,
  effectiveBits: true,
  bytes: true,
  originalBytes: true,
  kl: true,
  perplexity: true,
  calibrationTokens: true,
  plan: true,
  seconds: true,
  finished: true,
});

/** A complete picture of what the dashboard shows. Snapshots replace each other: latest wins, never deltas. */
export const dashboardSnapshotSchema = z.object({
  kind: z.literal('snapshot'),
  engine: z.object({ state: z.enum(engineStates), provider: z.string().optional(), message: z.string().optional() }),
  checkpoints: z.array(z.object({ folder: z.string(), label: z.string() })),
  selected: z.string().optional(),
  summary: checkpointSummarySchema.optional(),
  profile: profileResultSchema.optional(),
  budget: budgetResultSchema.optional(),
  /** The newest pass of text through the model. */
  calibration: calibrateResultSchema.optional(),
  /** Budget runs on this checkpoint that measured their choice, newest last, one per total. */
  measuredBudgets: z.array(measuredBudgetSchema).optional(),
  evaluations: z.array(evaluateResultSchema),
  /** What pruning decided on this checkpoint, newest last. */
  pruneRuns: z.array(pruneRunSchema).optional(),
  /** What merging decided on this checkpoint, newest last. */
  mergeRuns: z.array(mergeRunSchema).optional(),
  /** Bits that were decided on this checkpoint, newest last. */
  quantizations: z.array(decidedBitsSchema).optional(),
  job: z
    .object({
      title: z.string(),
      message: z.string(),
      fraction: z.number(),
      /** Set when stopping the job gives the best result so far instead of none. */
      keepsBest: z.boolean().optional(),
      /** Set when the person stopped the job and it has not ended yet. */
      stopping: z.boolean().optional(),
    })
    .optional(),
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
  /** Save what a section shows: the editor asks for format and place. */
  z.object({ kind: z.literal('export'), section: exportedSectionSchema }),
]);

export type DecidedBits = z.infer<typeof decidedBitsSchema>;
export type MeasuredBudget = z.infer<typeof measuredBudgetSchema>;
export type EngineState = (typeof engineStates)[number];
export type DashboardAction = (typeof dashboardActions)[number];
export type DashboardSnapshot = z.infer<typeof dashboardSnapshotSchema>;
export type DashboardMessage = z.infer<typeof dashboardMessageSchema>;
