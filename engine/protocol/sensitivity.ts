import * as z from 'zod';

/** Where the probe inputs of a sensitivity profile come from. */
export const profileInputs = ['gaussian', 'gamma', 'calibration'] as const;

/** Default number of probe tokens per layer, and of the batches they are split into. */
export const defaultProfileSamples = 32768;
export const profileBatches = 8;

export const profileParamsSchema = z.object({
  checkpoint: z.string(),
  input: z.enum(profileInputs).default('gaussian'),
  /** Calibration text, for the calibration input. */
  text: z.array(z.string()).default([]),
  /** Tokens of a calibration window. */
  length: z.number().int().min(2).optional(),
  samples: z.number().int().positive().default(defaultProfileSamples),
  seed: z.number().int().default(0),
});

/** Sensitivity of one MoE layer. Arrays are indexed by k-1 for k = 1 … k0, so the last entry is 0. */
export const layerSensitivitySchema = z.object({
  index: z.number().int().describe('Index of the decoder layer.'),
  raw: z.array(z.number()).describe('Mean over batches of ||Y_k - Y_k0||_F / sqrt(tokens).'),
  relativeSquared: z.array(z.number()).describe('||Y_k - Y_k0||_F^2 / ||Y_k0||_F^2 over all tokens.'),
  outputNorm: z.number().describe('||Y_k0||_F / sqrt(tokens).'),
  coefficientOfVariation: z
    .number()
    .describe('Largest over k of the standard error of raw (from its spread over batches), relative to raw.'),
});

export const profileResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string(),
  input: z.enum(profileInputs),
  samples: z.number().int(),
  seed: z.number().int(),
  activeExperts: z.number().int(),
  layers: z.array(layerSensitivitySchema),
  coefficientOfVariation: z.number(),
  seconds: z.number(),
  provider: z.string(),
  resumedLayers: z.number().int().describe('Layers taken from the cache of an earlier or interrupted run.'),
});

export type ProfileParams = z.infer<typeof profileParamsSchema>;
export type LayerSensitivity = z.infer<typeof layerSensitivitySchema>;
export type ProfileResult = z.infer<typeof profileResultSchema>;
