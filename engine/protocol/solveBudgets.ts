import * as z from 'zod';
import { frontPointSchema } from './budget';

/** One MoE layer of a budget problem: what it loses by k-1, and the active experts it may have. */
export const solvedLayerSchema = z.object({
  layer: z.number().int().min(0).describe('Index of the decoder layer.'),
  loss: z.array(z.number()).min(1).describe('Predicted loss by k-1.'),
  minimum: z.number().int().min(1),
  maximum: z.number().int().min(1),
});

/** A table that was measured before, with the bounds of the moment. */
export const solveBudgetsParamsSchema = z.object({ layers: z.array(solvedLayerSchema).min(1) });

/** The best allocation of every total that the bounds allow, in rising order. */
export const solveBudgetsResultSchema = z.object({ points: z.array(frontPointSchema) });

export type SolvedLayer = z.infer<typeof solvedLayerSchema>;
export type SolveBudgetsParams = z.infer<typeof solveBudgetsParamsSchema>;
export type SolveBudgetsResult = z.infer<typeof solveBudgetsResultSchema>;
