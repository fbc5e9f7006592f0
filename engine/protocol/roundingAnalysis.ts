import * as z from 'zod';
import { defaultQuantizeTokens } from './quantization';

/** Ways to round that no runtime of this program loads, measured to tell what they would cost. */
export const roundingAnalysisNames = ['ternary', 'matryoshka', 'router'] as const;

export const roundingAnalysisParamsSchema = z.object({
  checkpoint: z.string(),
  analysis: z.enum(roundingAnalysisNames),
  group: z.number().int().positive().optional(),
  /** Calibration text; without it losses are those of the weights. */
  text: z.array(z.string()).default([]),
  calibrationTokens: z.number().int().positive().default(defaultQuantizeTokens),
  length: z.number().int().min(2).optional(),
  seed: z.number().int().default(0),
});

export const roundingAnalysisResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string(),
  analysis: z.enum(roundingAnalysisNames),
  loss: z.string().describe('What the numbers are, for a person.'),
  levels: z.array(
    z.object({ name: z.string(), bits: z.number().describe('Bits a weight with scales and zero points.') }),
  ),
  layers: z.array(
    z.object({
      index: z.number().int().describe('Decoder layer.'),
      loss: z.array(z.number()).describe('One per level.'),
      experts: z
        .array(z.object({ expert: z.number().int(), tokens: z.number().optional(), loss: z.array(z.number()) }))
        .describe('Losses of single experts; empty for routers.'),
    }),
  ),
  notes: z.array(z.string()),
  calibrationTokens: z.number().int().optional(),
  seconds: z.number(),
});

export type RoundingAnalysisParams = z.infer<typeof roundingAnalysisParamsSchema>;
export type RoundingAnalysisResult = z.infer<typeof roundingAnalysisResultSchema>;
