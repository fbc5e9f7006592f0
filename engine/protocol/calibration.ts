import * as z from 'zod';

/** Tokens whose block inputs a calibration keeps, by default. */
export const defaultCalibrationSample = 512;

/**
 * Tokens that experts are ranked or merged by where no number of windows is given: more hardly changes a ranking. On a model of 32 experts
 * of which 8 are active, the kept sets of two disjoint samples of 32 768 tokens have 97.5 % in common, those of 8 192 tokens 95 %.
 */
export const defaultRankingTokens = 65536;

/**
 * An expert is well covered when it saw at least this share of the layer's tokens, and at least twice as many tokens as its weights
 * have inputs, which bounds the rank of anything fitted to them (the two tests of Olive, `moe_calib.py`).
 */
export const coverageShare = 0.005;
export const coverageTokensPerInput = 2;

/** Pairs of experts per layer that a result lists: all of them up to 32 experts. */
export const listedPairs = 496;

export const calibrateParamsSchema = z.object({
  checkpoint: z.string(),
  text: z.array(z.string()).default([]),
  /** Statistics file to write. */
  out: z.string(),
  /** Tokens of a window; by default 512, or what the model's positions allow. */
  length: z.number().int().min(2).optional(),
  /** Windows of every dataset, or of every task or domain where lines are tagged; all when absent. */
  windows: z.number().int().positive().optional(),
  perDocument: z.boolean().default(false),
  /** Most tokens altogether, spread evenly over datasets and tags; all when absent. */
  tokens: z.number().int().positive().optional(),
  sample: z.number().int().min(1).default(defaultCalibrationSample),
  /** Whether all experts run on the sampled tokens, which merging methods need. */
  dense: z.boolean().default(true),
  /** Whether sums over pairs of experts are kept for every task or domain too, as far as they are at most 64 MiB a layer. */
  taskPairs: z.boolean().default(true),
  /** Whether to write the choices of every token beside the statistics. */
  trace: z.boolean().default(false),
  seed: z.number().int().default(0),
});

export const coverageSchema = z.object({
  leastTokens: z.number().int().describe('Tokens of the expert that saw the fewest.'),
  medianTokens: z.number(),
  shareThreshold: z.number().describe('Tokens that are 0.5 % of those of the layer.'),
  tokenThreshold: z.number().describe('Twice the inputs of an expert matrix.'),
  belowShare: z.array(z.number().int()).describe('Experts with fewer tokens than the share.'),
  belowTokens: z.array(z.number().int()).describe('Experts with fewer tokens than twice their inputs.'),
  neverChosen: z.array(z.number().int()).describe('Experts that no token chose.'),
});

export const calibratedLayerSchema = z.object({
  index: z.number().int().describe('Decoder layer.'),
  experts: z.number().int(),
  activeExperts: z.number().int(),
  counts: z.array(z.number().int()).describe('How many tokens chose each expert.'),
  coverage: coverageSchema,
  coactivation: z
    .array(z.tuple([z.number().int(), z.number().int(), z.number().int()]))
    .describe('Pairs of experts that tokens chose together, [expert, expert, tokens], the most frequent first.'),
});

export const calibrateResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string(),
  file: z.string().describe('The statistics file.'),
  bytes: z.number().int(),
  trace: z.string().optional().describe('The file with the choices of every token.'),
  tokens: z.number().int(),
  tags: z.array(z.object({ name: z.string(), tokens: z.number().int() })),
  seed: z.number().int(),
  layers: z.array(calibratedLayerSchema),
  notes: z.array(z.string()),
  resumedLayers: z.number().int().describe('Layers taken from the cache of an earlier or interrupted run.'),
  seconds: z.number(),
  provider: z.string(),
  /** ISO time at which the run ended. */
  finished: z.string(),
});

export type CalibrateParams = z.infer<typeof calibrateParamsSchema>;
export type Coverage = z.infer<typeof coverageSchema>;
export type CalibratedLayer = z.infer<typeof calibratedLayerSchema>;
export type CalibrateResult = z.infer<typeof calibrateResultSchema>;
