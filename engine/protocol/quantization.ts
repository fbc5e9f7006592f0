import * as z from 'zod';
import { planQuantizeSchema } from './plan';

/** Names of the quantizers, in the order in which pickers show them. */
export const quantizerNames = ['auto', 'gptq', 'eaquant', 'awq', 'hqq', 'rtn'] as const;

/** What may have bits of its own: a layer, its projections (gate and up together, down), or every expert. */
export const bitGranularities = ['layer', 'projection', 'expert'] as const;

/** Calibration tokens that quantizers and allocations use by default. */
export const defaultQuantizeTokens = 16384;

export const quantizeParamsSchema = z.object({
  checkpoint: z.string(),
  method: z.enum(quantizerNames).default('auto'),
  /** The same bits for everything in the scope; excludes the budgets below. */
  bits: z.literal([2, 3, 4, 5, 6, 8], { error: 'choose 2, 3, 4, 5, 6 or 8' }).optional(),
  /** Mean bits of the codes, scales and zero points not counted. */
  averageBits: z.number().min(2).max(8).optional(),
  /** Mean bits of a weight with its share of scales and zero points. */
  effectiveBits: z.number().positive().optional(),
  /** Bytes of all quantized weights together. */
  maximumBytes: z.number().positive().optional(),
  granularity: z.enum(bitGranularities).default('projection'),
  /** Weights that share a scale; by default the largest usual size that divides all rows. */
  group: z.number().int().positive().optional(),
  /** The same for down, whose rows are often of another length; by default that of gate and up. */
  downGroup: z.number().int().positive().optional(),
  symmetric: z.boolean().default(false),
  /** Share of the inputs in the factors that smooth them before rounding (EAQuant), from 0 to 1; absent: no smoothing. */
  smoothing: z.number().min(0).max(1).optional(),
  scope: z.enum(['experts', 'all']).default('experts'),
  /** Calibration text. */
  text: z.array(z.string()).default([]),
  calibrationTokens: z.number().int().positive().default(defaultQuantizeTokens),
  length: z.number().int().min(2).optional(),
  seed: z.number().int().default(0),
  /** Plan file to create or update. */
  out: z.string().optional(),
});

/** One way to spread the same bits. */
export const bitAllocationSchema = z.object({
  granularity: z.enum(bitGranularities),
  averageBits: z.number(),
  effectiveBits: z.number(),
  predicted: z.number().describe('Predicted loss: KL in nats per token where measured, else relative squared error.'),
});

export const quantizeCandidateSchema = z.object({
  method: z.string(),
  kl: z.number().describe('KL(model || quantized) on held-out calibration text, in nats per token.'),
});

export const quantizedLayerSchema = z.object({
  index: z.number().int().describe('Decoder layer.'),
  averageBits: z.number(),
  effectiveBits: z.number(),
  bytes: z.number(),
  bits: planQuantizeSchema.shape.layers.element,
  relativeError: z
    .object({ gate: z.number().optional(), up: z.number(), down: z.number() })
    .describe('‖W - Q(W)‖² / ‖W‖² over the experts of the layer.'),
  uncovered: z.array(z.number().int()).describe('Experts that calibration text did not reach.'),
});

export const quantizeResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string(),
  method: z.string().describe('Quantizer that was used.'),
  requestedMethod: z.string(),
  group: z.number().int(),
  groups: planQuantizeSchema.shape.groups,
  symmetric: z.boolean(),
  scope: z.enum(['experts', 'all']),
  smoothing: z.number().optional().describe('Share of the inputs in the factors that smooth them; absent: none.'),
  averageBits: z.number().describe('Mean bits of the codes.'),
  effectiveBits: z.number().describe('Mean bits of a quantized weight with scales and zero points.'),
  arithmetic: z.string().describe('How the effective bits come about.'),
  bytes: z.number().describe('Bytes of the quantized weights: codes, scales, zero points.'),
  originalBytes: z.number().describe('Bytes of the same weights in the checkpoint.'),
  checkpointBytes: z.number().describe('Predicted bytes of all weights of the checkpoint.'),
  layers: z.array(quantizedLayerSchema),
  allocations: z.array(bitAllocationSchema).describe('The budget spent at every granularity; empty for uniform bits.'),
  candidates: z.array(quantizeCandidateSchema),
  kl: z.number().optional().describe('KL of the result on held-out calibration text, in nats per token.'),
  perplexity: z.number().optional().describe('Perplexity of the result on the same text.'),
  calibrationTokens: z.number().int().optional(),
  notes: z.array(z.string()),
  plan: z.string().optional(),
  seed: z.number().int(),
  seconds: z.number(),
  finished: z.string().optional().describe('ISO time at which the run ended.'),
});

export type QuantizeParams = z.infer<typeof quantizeParamsSchema>;
export type QuantizeResult = z.infer<typeof quantizeResultSchema>;
export type QuantizedLayer = z.infer<typeof quantizedLayerSchema>;
export type BitGranularity = (typeof bitGranularities)[number];
export type BitAllocation = z.infer<typeof bitAllocationSchema>;
