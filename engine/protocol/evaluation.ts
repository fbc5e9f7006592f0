import * as z from 'zod';

export const defaultWindowLength = 512;

/** Sections of a plan that change the weights of the experts. */
export const weightChangeNames = ['prune', 'merge', 'quantize'] as const;

export const evaluateParamsSchema = z.object({
  checkpoint: z.string(),
  /** Plan file whose decisions are evaluated against the baseline. */
  plan: z.string().optional(),
  /** Active experts: one number for all MoE layers, or one per MoE layer. Excludes plan. */
  activeExperts: z.union([z.number().int().min(1), z.array(z.number().int().min(1))]).optional(),
  text: z.array(z.string()).default([]),
  tasks: z.array(z.string()).default([]),
  length: z.number().int().min(2).default(defaultWindowLength),
  windows: z.number().int().positive().optional(),
  perDocument: z.boolean().default(false),
});

export const datasetEvaluationSchema = z.object({
  perplexity: z.number(),
  tokens: z.number().int(),
  baselinePerplexity: z.number().optional(),
  kl: z.number().optional().describe('Mean KL(baseline || changed) per predicted token, in nats.'),
  top1Agreement: z.number().optional().describe('Share of positions with the same arg-max as the baseline.'),
});

export const evaluateResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string(),
  plan: z.string().optional(),
  activeExperts: z.array(z.number().int()),
  baseline: z.boolean().describe('True when nothing was changed: these are the numbers of the checkpoint itself.'),
  weightsChanged: z.boolean().optional().describe('True when experts were pruned, merged, rounded or scaled.'),
  changes: z.array(z.enum(weightChangeNames)).optional().describe('What the plan did to the weights of experts.'),
  expertBytes: z.number().optional().describe('Bytes of the routed experts, stored as the plan says.'),
  originalExpertBytes: z.number().optional().describe('Bytes of the routed experts of the checkpoint.'),
  datasets: z.record(z.string(), datasetEvaluationSchema),
  geometricMeanPerplexity: z.number().optional(),
  baselineGeometricMeanPerplexity: z.number().optional(),
  tasks: z.record(z.string(), z.number()),
  baselineTasks: z.record(z.string(), z.number()).optional(),
  meanAccuracy: z.number().optional(),
  baselineMeanAccuracy: z.number().optional(),
  seconds: z.number(),
  provider: z.string(),
  /** ISO time at which the run ended. */
  finished: z.string(),
});

export type WeightChangeName = (typeof weightChangeNames)[number];
export type EvaluateParams = z.infer<typeof evaluateParamsSchema>;
export type DatasetEvaluation = z.infer<typeof datasetEvaluationSchema>;
export type EvaluateResult = z.infer<typeof evaluateResultSchema>;
