import * as z from 'zod';
import { frontPointSchema } from './budget';
import { capabilitySchema } from './checkpointSummary';
import { engineStates } from './engineStates';
import { evaluateResultSchema } from './evaluation';
import { expertScoresSchema } from './expertScores';
import { planGatesSchema, planSchema } from './plan';
import { pruneMethodNames } from './pruning';

/**
 * Messages between the plan editor's page and the extension. Those to the page are complete pictures of one topic each, so that the
 * large ones (measurements, front) travel only when they change; of each topic the latest wins.
 */

/** Tables of predicted losses that the editor can draw and solve, most trustworthy first. */
export const lossTableNames = ['budget', 'relative-squared', 'lexi'] as const;

/** The document: what the plan says, and what became of the page's own edits. */
export const planDocumentSchema = z.object({
  kind: z.literal('document'),
  fileName: z.string(),
  /** Number of the last edit of this page that is in the document or was refused; 0 before the first. */
  applied: z.number().int().min(0),
  writable: z.boolean(),
  /** The file has other content than the unsaved document was made from. */
  changedOnDisk: z.boolean(),
  /** The plan, or the last readable one where the text has a problem. */
  plan: planSchema.optional(),
  problem: z.object({ message: z.string(), line: z.number().int().positive() }).optional(),
});

/** How the plan and the checkpoints of the workspace go together. */
export const planCheckpointStates = ['none', 'untrusted', 'reading', 'failed', 'other', 'ready'] as const;

/** One MoE layer as its headers describe it. */
export const editedLayerSchema = z.object({
  /** Index of the decoder layer. */
  index: z.number().int().min(0),
  experts: z.number().int().positive(),
  /** Active experts per token as trained. */
  trained: z.number().int().positive(),
  /** Bytes of one routed expert as stored. */
  expertBytes: z.number(),
  /** Parameters of one routed expert. */
  expertParameters: z.number().optional(),
});

/** Predicted loss of every layer by its number of active experts. */
export const lossTableSchema = z.object({
  name: z.enum(lossTableNames),
  /** Objective whose losses these are. */
  objective: z.string(),
  /** By MoE layer in order and k-1. */
  rows: z.array(z.array(z.number())),
  /** Tokens per layer or of calibration text behind the numbers, where known. */
  tokens: z.number().int().optional(),
  /** What the tokens were. */
  input: z.string().optional(),
  /** Measured on other weights than the checkpoint has now. */
  stale: z.boolean(),
});

/** Ways to make up for missing experts that a plan may hold numbers for. */
export const gatePolicies = ['reference', 'scale'] as const;

/** Numbers of a routing policy that are known, so that it can be switched on without a run. */
export const knownGatesSchema = z.object({
  policy: z.enum(gatePolicies),
  /** By MoE layer: ranks whose scores gates are divided by, or factors on the routed output. */
  values: z.array(z.number().positive()),
  /** Active experts that factors were measured for, where known; a reference holds for all of them. */
  activeExperts: z.array(z.number().int()).optional(),
  /** Tokens of text a factor was measured on; Gaussian inputs where absent. */
  tokens: z.number().int().optional(),
  seed: z.number().int(),
  /** Measured on other weights than the checkpoint has now. */
  stale: z.boolean(),
});

/** What is known about the checkpoint of the plan. */
export const planMeasurementsSchema = z.object({
  kind: z.literal('measurements'),
  state: z.enum(planCheckpointStates),
  /** Name of the checkpoint that was found. */
  checkpoint: z.string().optional(),
  /** Why it could not be read. */
  reason: z.string().optional(),
  layers: z.array(editedLayerSchema),
  tables: z.array(lossTableSchema),
  /** How often text chose each expert, parallel to `layers`; absent where no text was run that fits them. */
  expertUse: z
    .object({
      tokens: z.number().int(),
      /** Tokens that chose each expert, by layer and expert. */
      counts: z.array(z.array(z.number().int())),
      /** Experts that saw too few tokens to be judged, by layer. */
      weak: z.array(z.array(z.number().int())),
      stale: z.boolean(),
    })
    .optional(),
  /** The allocation that the run which wrote the plan chose, where it is known. */
  solved: z.array(z.number().int()).optional(),
  /** The experts that the run which wrote the plan kept, by MoE layer, where it is known. */
  prunedTo: z.array(z.array(z.number().int())).optional(),
  /** Methods whose scores of the experts are known and fit the layers; the scores themselves are messages of their own. */
  scored: z.array(z.enum(pruneMethodNames)).default([]),
  /** Routing policies whose numbers are known; of several measured ones the newest last. */
  gates: z.array(knownGatesSchema).default([]),
  /** Whether the routers divide their gates by their sum, so that a reference can be chosen. */
  gateReference: capabilitySchema.optional(),
  /** Evaluations of this plan file, oldest first. */
  evaluations: z.array(evaluateResultSchema.extend({ stale: z.boolean() })),
  canEvaluate: z.boolean(),
});

/** What one method thinks of every expert; of each method the latest wins. */
export const planScoresSchema = z.object({
  kind: z.literal('scores'),
  ...expertScoresSchema.pick({
    method: true,
    title: true,
    rule: true,
    reference: true,
    tasks: true,
    calibrationTokens: true,
    finished: true,
  }).shape,
  /** Scores by MoE layer in order and expert; the higher, the more the expert is needed. */
  rows: z.array(z.array(z.number())),
  stale: z.boolean(),
});

/** Best allocations of every total, for one table and one set of locked layers. */
export const planFrontSchema = z.object({
  kind: z.literal('front'),
  table: z.enum(lossTableNames).optional(),
  locked: z.array(z.object({ position: z.number().int().min(0), active: z.number().int().positive() })),
  points: z.array(frontPointSchema),
  /** Why there is none. */
  reason: z.string().optional(),
});

/** What runs right now. */
export const planStatusSchema = z.object({
  kind: z.literal('status'),
  engine: z.object({ state: z.enum(engineStates), message: z.string().optional() }),
  job: z
    .object({ title: z.string(), message: z.string(), fraction: z.number(), stopping: z.boolean().optional() })
    .optional(),
});

/** Everything the page can receive. */
export const planEditorUpdateSchema = z.discriminatedUnion('kind', [
  planDocumentSchema,
  planMeasurementsSchema,
  planScoresSchema,
  planFrontSchema,
  planStatusSchema,
]);

/** Actions the page can ask for; each is a command as well. */
export const planEditorActions = [
  'profile',
  'findBudgets',
  'calibrate',
  'prune',
  'merge',
  'quantize',
  'evaluatePlan',
  'applyPlan',
  'cancel',
  'openDashboard',
  'compareWithSaved',
  'revert',
  'showLog',
] as const;

const editNumber = z.number().int().positive().describe('Counts the edits of one life of the page from 1.');
const position = z.number().int().min(0).describe('MoE layer, counted from 0.');

/** Messages from the page to the extension. Edits say absolute values, so that one may follow another before it is answered. */
export const planEditorMessageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready'), version: z.number() }),
  z.object({
    kind: z.literal('setBudgets'),
    edit: editNumber,
    changes: z.array(z.object({ position, active: z.number().int().min(1) })).min(1),
    /** Set when all numbers together are one point of the front of a table. */
    solved: z
      .object({ table: z.enum(lossTableNames), predicted: z.number().nullable(), total: z.number().int() })
      .optional(),
  }),
  z.object({
    kind: z.literal('setLocked'),
    edit: editNumber,
    /** Decoder layers that are locked from now on; all others are not. */
    locked: z.array(z.number().int().min(0)),
  }),
  z.object({
    kind: z.literal('setKept'),
    edit: editNumber,
    /** Experts that stay, ascending. */
    changes: z.array(z.object({ position, keep: z.array(z.number().int().min(0)).min(1) })).min(1),
    /** Set when all layers together follow one score. */
    by: z
      .object({
        method: z.enum(pruneMethodNames),
        ratio: z.number().min(0).max(1).optional(),
        calibrationTokens: z.number().int().optional(),
      })
      .optional(),
  }),
  z.object({
    kind: z.literal('setBits'),
    edit: editNumber,
    changes: z
      .array(
        z.object({
          position,
          projection: z.enum(['gate', 'up', 'down']).optional(),
          /** One number, or one for every remaining expert in order. */
          bits: z.union([z.number(), z.array(z.number()).min(1)]),
        }),
      )
      .min(1),
  }),
  z.object({
    kind: z.literal('setGates'),
    edit: editNumber,
    /** Absent: gates as every runtime computes them. */
    gates: planGatesSchema.optional(),
  }),
  z.object({ kind: z.literal('useTable'), table: z.enum(lossTableNames) }),
  z.object({ kind: z.literal('action'), action: z.enum(planEditorActions) }),
  z.object({ kind: z.literal('openText'), line: z.number().int().positive().optional() }),
]);

export type LossTableName = (typeof lossTableNames)[number];
export type PlanDocument = z.infer<typeof planDocumentSchema>;
export type EditedLayer = z.infer<typeof editedLayerSchema>;
export type LossTable = z.infer<typeof lossTableSchema>;
export type PlanMeasurements = z.infer<typeof planMeasurementsSchema>;
export type KnownGates = z.infer<typeof knownGatesSchema>;
export type GatePolicy = (typeof gatePolicies)[number];
export type PlanScores = z.infer<typeof planScoresSchema>;
export type PlanFront = z.infer<typeof planFrontSchema>;
export type PlanStatus = z.infer<typeof planStatusSchema>;
export type PlanEditorUpdate = z.infer<typeof planEditorUpdateSchema>;
export type PlanEditorAction = (typeof planEditorActions)[number];
export type PlanEditorMessage = z.infer<typeof planEditorMessageSchema>;
