import * as z from 'zod';

/** One decoder layer as `inspect` describes it. Byte counts are of the stored tensors. */
export const layerSummarySchema = z.object({
  index: z.number().int(),
  moe: z.boolean(),
  experts: z.number().int().describe('Routed experts; 0 in a dense layer.'),
  active: z.number().int().describe('Active routed experts per token; 0 in a dense layer.'),
  sharedExperts: z.number().int(),
  expertBytes: z.number().describe('Bytes of the routed experts of this layer.'),
  expertParameters: z.number().optional().describe('Parameters of one routed expert; absent in a dense layer.'),
});

/** Whether the engine can do something with this checkpoint, and the reason where it cannot. */
export const capabilitySchema = z.object({ supported: z.boolean(), reason: z.string().optional() });

/** What the headers of a checkpoint say: result of `inspect`. */
export const checkpointSummarySchema = z.object({
  folder: z.string(),
  name: z.string(),
  family: z.string(),
  modelType: z.string(),
  parameters: z.number(),
  activeParameters: z.number(),
  bytes: z.number(),
  expertBytes: z.number(),
  dtype: z.string(),
  hiddenSize: z.number().int(),
  expertIntermediateSize: z.number().int(),
  vocabularySize: z.number().int(),
  experts: z.number().int(),
  activeExperts: z.number().int(),
  fingerprint: z.string(),
  hasTokenizer: z.boolean(),
  /** Dotted paths of the config keys that hold these facts, so that the editor finds their lines. */
  configKeys: z.object({
    experts: z.string(),
    activeExperts: z.string(),
    dtype: z.string().optional(),
  }),
  forward: capabilitySchema,
  block: capabilitySchema,
  /** Whether gates can be divided by the scores of more experts than are active. */
  gateReference: capabilitySchema.optional(),
  layers: z.array(layerSummarySchema),
  warnings: z.array(z.string()),
});

export type LayerSummary = z.infer<typeof layerSummarySchema>;
export type CheckpointSummary = z.infer<typeof checkpointSummarySchema>;
