import * as z from 'zod';
import { planGatesSchema } from './plan';

/** Names of the budget objectives, in the order in which pickers show them. */
export const objectiveNames = [
  'auto',
  'end-to-end',
  'alloc-l',
  'maple',
  'calibrated',
  'gamma',
  'relative-squared',
  'squared',
  'lexi',
  'uniform',
  'random',
] as const;

/** What a budget can be counted in. */
export const costNames = ['active-experts', 'flops', 'bytes', 'microseconds'] as const;

/** Calibration tokens that measured objectives use by default, and measurements that `auto` may spend on its search. */
export const defaultCalibrationTokens = 24576;
export const defaultSearchEvaluations = 64;
/**
 * How the plan makes up for missing experts: not at all (what every runtime does), by dividing gates by the scores of as many
 * experts as were trained, or by one measured factor per layer.
 */
export const gateCorrections = ['none', 'reference', 'scale'] as const;

export const solverNames = ['exact', 'evolutionary', 'greedy'] as const;

export const budgetParamsSchema = z.object({
  checkpoint: z.string(),
  /** Average active experts per MoE layer; give this or total, or neither for the front alone. */
  average: z.number().positive().optional(),
  total: z.number().int().positive().optional(),
  /** Largest total in units of `cost`, for costs other than active experts. */
  limit: z.number().positive().optional(),
  cost: z.enum(costNames).default('active-experts'),
  /** Tokens processed at once, for costs that depend on it (bytes, microseconds). */
  batch: z.number().int().positive().default(1),
  objective: z.enum(objectiveNames).default('auto'),
  solver: z.enum(solverNames).default('exact'),
  minimumActive: z.number().int().min(1).default(1),
  maximumActive: z.number().int().min(1).optional(),
  /** Decoder layers that keep their trained active experts. */
  pinned: z.array(z.number().int().min(0)).default([]),
  /** Calibration text for objectives that measure the whole model. */
  text: z.array(z.string()).default([]),
  /** Task items for the same, scored on their answers. */
  tasks: z.array(z.string()).default([]),
  calibrationTokens: z.number().int().positive().default(defaultCalibrationTokens),
  length: z.number().int().min(2).optional(),
  /** Measurements that the search of `auto` may make, candidates included. */
  evaluations: z.number().int().positive().default(defaultSearchEvaluations),
  /** Left out: `auto` measures on running text whether a factor per layer helps; other objectives leave the gates. */
  gates: z.enum(gateCorrections).optional(),
  samples: z.number().int().positive().optional(),
  seed: z.number().int().default(0),
  /** Plan file to create or update. */
  out: z.string().optional(),
});

/** One point of the quality/cost front. */
export const frontPointSchema = z.object({
  total: z.number().int(),
  average: z.number(),
  predicted: z.number().nullable(),
  activeExperts: z.array(z.number().int()),
  /** Cost of the point, where the budget is not counted in active experts. */
  cost: z.number().optional(),
});

/** Quality of an allocation on calibration text against the model as trained. */
export const allocationQualitySchema = z.object({
  kl: z.number().describe('Mean KL(full model || allocation) per token, in nats.'),
  logPerplexity: z.number(),
  accuracy: z.number().describe('Share of tokens whose arg-max is right.'),
});

/**
 * What a changed model did on every calibration window, as columns of sums over its scored tokens: the differences of two
 * models window by window have a noise of their own, far below that of either.
 */
export const windowScoresSchema = z.object({
  tokens: z.array(z.number()),
  /** KL(model as trained || changed model), in nats. */
  kl: z.array(z.number()),
  /** Cross-entropy in nats. */
  loss: z.array(z.number()),
  /** Tokens that are the arg-max. */
  correct: z.array(z.number()),
  /** Tokens that the model as trained was sure of and right, and whose arg-max is another one now. */
  lost: z.array(z.number()),
});

/** One allocation that was considered, with what was predicted and what was measured. */
export const budgetCandidateSchema = z.object({
  name: z.string(),
  activeExperts: z.array(z.number().int()),
  predicted: z.number().nullable(),
  /** On held-out windows, where there are any. */
  measured: allocationQualitySchema.nullable(),
});

export const budgetResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string(),
  objective: z.enum(objectiveNames),
  solver: z.enum(solverNames),
  /** Indices of the MoE decoder layers, parallel to activeExperts. */
  layers: z.array(z.number().int()),
  activeExperts: z.array(z.number().int()),
  total: z.number().int(),
  predicted: z.number().nullable(),
  /** The objective behind the choice when `auto` was asked for, or `search` when the search beat all of them. */
  chosen: z.string().optional(),
  /** What the plan measures: the chosen allocation, with factors where it has some. */
  measured: allocationQualitySchema.optional(),
  /** Candidates with their measurements, best first; controls included. */
  candidates: z.array(budgetCandidateSchema).optional(),
  /** Spearman correlation of the end-to-end prediction with the measured KL over all measured allocations. */
  rankCorrelation: z.number().nullable().optional(),
  calibrationTokens: z.number().int().optional(),
  /** Tokens that the search did not see, on which `auto` compared its candidates. */
  heldOutTokens: z.number().int().optional(),
  /** Whole-model measurements made by this run; those found in the cache do not count. */
  measurements: z.number().int().optional(),
  cost: z.enum(costNames).optional(),
  /** Total cost of the allocation in units of `cost`, and of the model as trained. */
  totalCost: z.number().optional(),
  fullCost: z.number().optional(),
  /** Microseconds of the chosen allocation measured after it was chosen, for that cost. */
  measuredCost: z.number().optional(),
  /** Predicted loss per layer by k-1, the table the solver saw. */
  table: z.array(z.object({ layer: z.number().int(), loss: z.array(z.number()) })).optional(),
  /** True when the person stopped the search and this is the best so far. */
  interrupted: z.boolean().optional(),
  /** What the plan does to the gates, where it was asked to. */
  gates: planGatesSchema.optional(),
  notes: z.array(z.string()).optional(),
  /** The same objective at the uniform allocation of the same total or the nearest one below. */
  uniformPredicted: z.number().nullable(),
  front: z.array(frontPointSchema),
  seed: z.number().int(),
  seconds: z.number(),
  plan: z.string().optional(),
});

export type CostName = (typeof costNames)[number];
export type AllocationQuality = z.infer<typeof allocationQualitySchema>;
export type WindowScores = z.infer<typeof windowScoresSchema>;
export type BudgetCandidate = z.infer<typeof budgetCandidateSchema>;
export type ObjectiveName = (typeof objectiveNames)[number];
export type SolverName = (typeof solverNames)[number];
export type BudgetParams = z.infer<typeof budgetParamsSchema>;
export type BudgetResult = z.infer<typeof budgetResultSchema>;
export type FrontPoint = z.infer<typeof frontPointSchema>;
