import * as z from 'zod';

export const defaultGeneratedTokens = 64;
export const mostGeneratedTokens = 4096;

export const generateParamsSchema = z.object({
  checkpoint: z.string(),
  /** Plan file whose model generates beside the one that was trained. */
  plan: z.string().optional(),
  /** The same for other active experts: one number, or one per MoE layer. */
  activeExperts: z.union([z.number().int().min(1), z.array(z.number().int().min(1)).min(1)]).optional(),
  /** Text to go on from, or its tokens: exactly one of both. */
  prompt: z.string().optional(),
  ids: z.array(z.number().int().min(0)).min(1).optional(),
  /** Most tokens to generate. */
  tokens: z.number().int().min(1).max(mostGeneratedTokens).default(defaultGeneratedTokens),
  /** 0 always takes the most likely token. */
  temperature: z.number().min(0).max(100).default(0),
  seed: z.number().int().default(0),
});

/** Which of the two models a token is from. */
export const generationVariants = ['baseline', 'plan'] as const;

export const tokenTextSchema = z.object({
  id: z.number().int(),
  /** What the token adds to the text; empty while a character is incomplete. */
  text: z.string(),
});

export const generatedTokenSchema = z.object({
  ...tokenTextSchema.shape,
  /** Probability that the model gave the token (at temperature 1). */
  probability: z.number(),
  /** Experts of the run that chose this token, ids of the checkpoint, best first: one list per MoE layer. */
  experts: z.array(z.array(z.number().int())),
  /** Their gates, parallel to `experts`. */
  gates: z.array(z.array(z.number())),
});

/** One more token of one model, told while the job runs. */
export const generationStepSchema = z.object({
  variant: z.enum(generationVariants),
  /** Tokens that this model generated before. */
  position: z.number().int(),
  token: generatedTokenSchema,
});

export const generatedLayerSchema = z.object({
  index: z.number().int().describe('Decoder layer.'),
  experts: z.number().int().describe('Experts of the checkpoint.'),
});

export const generatedVariantSchema = z.object({
  name: z.enum(generationVariants),
  /** One number per MoE layer. */
  activeExperts: z.array(z.number().int()),
  text: z.string(),
  tokens: z.array(generatedTokenSchema),
  /** Why it ended: as many tokens as were asked for, the model's own end, or the person. */
  ended: z.enum(['length', 'end-of-text', 'cancelled']),
});

export const generateResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string(),
  plan: z.string().optional(),
  provider: z.string(),
  prompt: z.array(tokenTextSchema),
  temperature: z.number(),
  seed: z.number().int(),
  /** MoE layers in order. */
  layers: z.array(generatedLayerSchema),
  /** The model as it was trained, then the plan where it changes anything. */
  variants: z.array(generatedVariantSchema).min(1).max(2),
  /** Only with two variants. */
  agreement: z
    .object({
      /** Share of positions with the same token, of the longer text. */
      share: z.number(),
      /** First position where they differ; absent where they do not. */
      firstDifference: z.number().int().optional(),
    })
    .optional(),
  notes: z.array(z.string()),
  seconds: z.number(),
});

export type GenerateParams = z.infer<typeof generateParamsSchema>;
export type GenerationVariant = (typeof generationVariants)[number];
export type TokenText = z.infer<typeof tokenTextSchema>;
export type GeneratedToken = z.infer<typeof generatedTokenSchema>;
export type GenerationStep = z.infer<typeof generationStepSchema>;
export type GeneratedVariant = z.infer<typeof generatedVariantSchema>;
export type GenerateResult = z.infer<typeof generateResultSchema>;
