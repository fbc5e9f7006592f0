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

const perLayerExperts = z.array(z.array(z.number().int().min(0)).min(1)).min(1);

/** What was measured before a section was decided, so that a reader can judge and repeat it. */
const evidence = {
  calibrationTokens: z.number().int().optional().describe('Tokens of text the statistics were collected on.'),
  statistics: z.string().optional().describe('SHA-256 of the statistics file the decision was made from.'),
  seed: z.number().int().describe('Seed of the run.'),
};

/** What may stand where experts went, chosen by the router as before. */
export const planReplacementNames = ['zero', 'constant'] as const;

/** Which experts stay. Ids are those of the original checkpoint. */
export const planPruneSchema = z
  .object({
    method: z.string().describe('Method that ranked the experts, for example "reap".'),
    ratio: z.number().min(0).max(1).optional().describe('Share of experts that was asked to go.'),
    keep: perLayerExperts.describe('Experts that stay, ascending, one list per MoE layer in order.'),
    correction: z
      .array(z.number().positive())
      .optional()
      .describe('Factor on the routed output per MoE layer, for routers that do not renormalise their gates.'),
    chosen: z.string().optional().describe('Which method "auto" took, or "search".'),
    measuredKl: z.number().optional().describe('Measured KL divergence from the full model, nats per token.'),
    replacement: z
      .enum(planReplacementNames)
      .optional()
      .describe(
        'What stands where experts went: zero, or their mean output as a constant. The router keeps all rows; without it, rows and experts go.',
      ),
    statisticsFile: z
      .string()
      .optional()
      .describe(
        'Statistics file that constants are taken from, from the folder of the plan; "statistics" is its hash.',
      ),
    tasks: z.array(z.string()).optional().describe('Tasks or domains of the text that the experts were ranked by.'),
    ...evidence,
  })
  .strict();

/** Which experts become one. Ids are those of the original checkpoint; the first of a group keeps its router row. */
export const planMergeSchema = z
  .object({
    method: z.string().describe('Method that grouped the experts, for example "hc-smoe".'),
    ratio: z.number().min(0).max(1).optional().describe('Share of experts that was asked to go.'),
    groups: z
      .array(perLayerExperts)
      .min(1)
      .describe('Groups of experts per MoE layer; every expert that is not pruned is in exactly one group.'),
    weights: z
      .array(z.array(z.array(z.number()).min(1)).min(1))
      .optional()
      .describe('Weight of every member in its group, parallel to groups; equal weights where absent.'),
    statisticsFile: z
      .string()
      .optional()
      .describe('Statistics file that merging itself reads, from the folder of the plan; "statistics" is its hash.'),
    options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
    ...evidence,
  })
  .strict();

const bits = z.number().min(1).max(16);

/** Bits of one projection: one number, or one per remaining expert in order. */
const projectionBits = z.union([bits, z.array(bits).min(1)]);

/** How the weights of the routed experts are rounded. */
export const planQuantizeSchema = z
  .object({
    method: z.string().describe('Quantizer, for example "rtn" or "gptq".'),
    group: z.number().int().positive().describe('Consecutive input weights that share a scale.'),
    groups: z
      .object({ down: z.number().int().positive() })
      .strict()
      .optional()
      .describe('Groups of projections where they differ from "group": rows of down are often of another length.'),
    symmetric: z.boolean().describe('Whether codes are centred on zero (no zero points).'),
    scope: z
      .enum(['experts', 'all'])
      .describe('Routed experts only, or attention, dense layers and shared experts too.'),
    layers: z
      .array(
        z.union([
          bits,
          z.object({ gate: projectionBits, up: projectionBits, down: projectionBits }).partial().strict(),
        ]),
      )
      .min(1)
      .describe('Bits per MoE layer in order: one number, or bits by projection; 16 leaves the weights as they are.'),
    others: bits.optional().describe('Bits of the linear layers outside the routed experts, with scope "all".'),
    effectiveBits: z.number().optional().describe('Bits per quantized weight with scales and zero points.'),
    options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
    ...evidence,
  })
  .strict();

/** How routers with fewer active experts make up for the scores of those that are missing. */
export const planGatesSchema = z
  .object({
    reference: z
      .array(z.number().int().positive())
      .optional()
      .describe('Ranks whose scores gates are divided by, per MoE layer, where the router renormalises.'),
    scale: z.array(z.number().positive()).optional().describe('Factor on the routed output, per MoE layer.'),
    ...evidence,
  })
  .strict()
  .refine(({ reference, scale }) => reference !== undefined || scale !== undefined, {
    message: 'needs "reference" or "scale"',
  });

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
    locked: z
      .array(z.number().int().min(0))
      .optional()
      .describe('Decoder layers whose active experts stay as they are when budgets are chosen anew.'),
    prune: planPruneSchema.optional().describe('Experts that go; applied first.'),
    merge: planMergeSchema.optional().describe('Experts that become one; applied after pruning.'),
    quantize: planQuantizeSchema.optional().describe('Bits of the weights; applied after merging.'),
    gates: planGatesSchema.optional().describe('Correction of the gates for fewer active experts; applied last.'),
    notes: z.string().optional().describe('Free text for people.'),
  })
  .strict();

export type PlanSource = z.infer<typeof planSourceSchema>;
export type PlanBudget = z.infer<typeof planBudgetSchema>;
export type PlanGates = z.infer<typeof planGatesSchema>;
export type PlanPrune = z.infer<typeof planPruneSchema>;
export type PlanMerge = z.infer<typeof planMergeSchema>;
export type PlanQuantize = z.infer<typeof planQuantizeSchema>;
export type Plan = z.infer<typeof planSchema>;
