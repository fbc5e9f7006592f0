import * as z from 'zod';

/** Other numbers of active experts for the MoE operators of an existing ONNX model, in place. */
export const setActiveExpertsParamsSchema = z.object({
  /** Folder with `genai_config.json`. */
  model: z.string(),
  /** One number per MoE operator in the order of the graph. */
  activeExperts: z.array(z.number().int().min(1)).min(1),
});

export const setActiveExpertsResultSchema = z.object({
  modelFile: z.string(),
  /** The numbers before: asking for them again undoes the change. */
  previous: z.array(z.number().int()),
  activeExperts: z.array(z.number().int()),
  /** Operators whose number changed. */
  changed: z.number().int(),
  /** File beside the model that holds it as it was before its first change; absent where nothing changed. */
  original: z.string().optional(),
});

export type SetActiveExpertsParams = z.infer<typeof setActiveExpertsParamsSchema>;
export type SetActiveExpertsResult = z.infer<typeof setActiveExpertsResultSchema>;
