import * as z from 'zod';

/** Names of the budget objectives, in the order in which pickers show them. */
export const objectiveNames = ['lexi', 'squared', 'relative-squared', 'uniform', 'random'] as const;
export const solverNames = ['exact', 'evolutionary', 'greedy'] as const;

export const budgetParamsSchema = z.object({
  checkpoint: z.string(),
  /** Average active experts per MoE layer; give this or total, or neither for the front alone. */
  average: z.number().positive().optional(),
  total: z.number().int().positive().optional(),
  objective: z.enum(objectiveNames).default('lexi'),
  solver: z.enum(solverNames).default('exact'),
  minimumActive: z.number().int().min(1).default(1),
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
  /** The same objective at the uniform allocation of the same total or the nearest one below. */
  uniformPredicted: z.number().nullable(),
  front: z.array(frontPointSchema),
  seed: z.number().int(),
  seconds: z.number(),
  plan: z.string().optional(),
});

export type ObjectiveName = (typeof objectiveNames)[number];
export type SolverName = (typeof solverNames)[number];
export type BudgetParams = z.infer<typeof budgetParamsSchema>;
export type BudgetResult = z.infer<typeof budgetResultSchema>;
export type FrontPoint = z.infer<typeof frontPointSchema>;
