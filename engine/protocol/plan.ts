import * as z from 'zod';

/** Version of the plan file format that this build reads and writes. */
export const planVersion = 1;

/** File name ending of plan files. */
export const planFileSuffix = '.moeplan.json';

/** Identity of the checkpoint a plan was made for. */
export const planSourceSchema = z
  .object({
    checkpoint: z.string().describe('Folder name of the checkpoint, for people; the fingerprint decides.'),
    family: z.string().describe('Model family, for example "olmoe".'),
    fingerprint: z
      .string()
      .describe('SHA-256 over tensor names, dtypes, shapes and samples of the router weights of the checkpoint.'),
    experts: z.number().int().positive().describe('Routed experts per MoE layer.'),
    activeExperts: z.number().int().positive().describe('Active experts per token the checkpoint was trained with.'),
  })
  .strict();

/** Why the budgets are what they are: written by the solver, read by people. */
export const planBudgetSchema = z
  .object({
    objective: z.string().describe('Objective that was minimised, for example "lexi".'),
    solver: z.string().describe('Solver that chose the budgets.'),
    total: z.number().int().positive().describe('Sum of the active experts over the MoE layers.'),
    predicted: z.number().nullable().describe('Value of the objective at these budgets; null when it has none.'),
    samples: z.number().int().positive().optional().describe('Tokens per layer behind the sensitivity table.'),
    chosen: z.string().optional().describe('Which candidate "auto" took: an objective, or "search".'),
    measuredKl: z.number().optional().describe('Measured KL divergence from the full model, nats per token.'),
    calibrationTokens: z.number().int().optional().describe('Tokens the measurement was made on.'),
    seed: z.number().int().describe('Seed of the run.'),
  })
  .strict();

/** A plan file (`*.moeplan.json`): the decisions a person takes about one checkpoint. */
export const planSchema = z
  .object({
    $schema: z.string().optional().describe('JSON schema of this file.'),
    version: z.literal(planVersion).default(planVersion).describe('Version of the plan file format.'),
    source: planSourceSchema.optional().describe('The checkpoint this plan was made for.'),
    activeExperts: z
      .array(z.number().int().min(1))
      .min(1)
      .optional()
      .describe('Active experts per token, one number per MoE layer in order.'),
    budget: planBudgetSchema.optional().describe('How activeExperts was chosen.'),
    notes: z.string().optional().describe('Free text for people.'),
  })
  .strict();

export type PlanSource = z.infer<typeof planSourceSchema>;
export type PlanBudget = z.infer<typeof planBudgetSchema>;
export type Plan = z.infer<typeof planSchema>;
