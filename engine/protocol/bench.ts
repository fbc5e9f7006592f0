import * as z from 'zod';

export const defaultBenchContext = 128;
export const defaultBenchTokens = 32;
export const defaultBenchRounds = 7;

export const benchParamsSchema = z.object({
  checkpoint: z.string(),
  /** Plan file to measure against the checkpoint as it was trained. */
  plan: z.string().optional(),
  /** The same for other active experts: one number, or one per MoE layer. */
  activeExperts: z.union([z.number().int().min(1), z.array(z.number().int().min(1)).min(1)]).optional(),
  batch: z.number().int().min(1).max(1024).default(1),
  /** Tokens of each prompt. */
  context: z.number().int().min(1).default(defaultBenchContext),
  /** Tokens generated after each prompt. */
  tokens: z.number().int().min(1).default(defaultBenchTokens),
  rounds: z.number().int().min(1).max(1000).default(defaultBenchRounds),
});

const rangeSchema = z.tuple([z.number(), z.number()]);

const speedShape = {
  prefillTokensPerSecond: z.number().describe('Median over the rounds, all sequences together.'),
  decodeTokensPerSecond: z.number().describe('Median over the rounds, all sequences together.'),
  prefillRange: rangeSchema.describe('Slowest and fastest round.'),
  decodeRange: rangeSchema.describe('Slowest and fastest round.'),
  peakBytes: z
    .number()
    .int()
    .describe('Largest resident memory of the engine while the model was loaded and ran alone.'),
};

export const benchLayerSchema = z.object({
  index: z.number().int().describe('Decoder layer.'),
  experts: z.number().int(),
  active: z.number().int(),
  baselineActive: z.number().int(),
  form: z.enum(['fused', 'branches']).describe('One operator for all experts, or a branch for each.'),
  microseconds: z
    .array(z.number())
    .describe('Time of the MoE block for one decode step, by k - 1: the non-decreasing fit of the medians.'),
  medianMicroseconds: z.array(z.number()).describe('The medians themselves, with the noise of the machine.'),
  baselineMicroseconds: z.number().describe('The same of the block as it was trained.'),
});

export const benchResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string(),
  plan: z.string().optional(),
  provider: z.string(),
  threads: z.number().int().describe('0 is one per core.'),
  batch: z.number().int(),
  context: z.number().int(),
  tokens: z.number().int(),
  rounds: z.number().int(),
  activeExperts: z.array(z.number().int()),
  ...speedShape,
  layers: z.array(benchLayerSchema),
  /** Only where something was compared with the model as it was trained. */
  baseline: z.object(speedShape).optional(),
  /** Speed relative to the baseline: medians of the ratios of each round, for decoding those of its median step. */
  prefillRatio: z.number().optional(),
  decodeRatio: z.number().optional(),
  /** Median milliseconds of a decode step: the baseline's measured time and the changes of the layers, against the measured time. */
  prediction: z
    .object({
      decodeMilliseconds: z.number(),
      measuredMilliseconds: z.number(),
      baselineMilliseconds: z.number(),
      relativeError: z.number(),
    })
    .optional(),
  exportedBytes: z.number().int(),
  notes: z.array(z.string()),
  seconds: z.number(),
});

export type BenchParams = z.infer<typeof benchParamsSchema>;
export type BenchLayer = z.infer<typeof benchLayerSchema>;
export type BenchResult = z.infer<typeof benchResultSchema>;
