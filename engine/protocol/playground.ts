import * as z from 'zod';
import { defaultGeneratedTokens, generateResultSchema, generationStepSchema, mostGeneratedTokens } from './generation';

/** What the person sets before generating. */
export const playgroundSettingsSchema = z.object({
  prompt: z.string().max(100_000),
  tokens: z.number().int().min(1).max(mostGeneratedTokens),
  /** 0 always takes the most likely token. */
  temperature: z.number().min(0).max(100),
  seed: z.number().int(),
});

export const defaultPlaygroundSettings = {
  prompt: '',
  tokens: defaultGeneratedTokens,
  temperature: 0,
  seed: 0,
} as const;

/** Checkpoint and plan that a playground is about; kept by its page, so that a reload of the window finds them again. */
export const playgroundTargetSchema = z.object({
  folder: z.string(),
  plan: z.string().optional(),
});

/** What the page tells the extension. */
export const playgroundMessageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready'), version: z.number() }),
  z.object({ kind: z.literal('generate'), settings: playgroundSettingsSchema }),
  z.object({ kind: z.literal('cancel') }),
  z.object({ kind: z.literal('pickPlan') }),
  z.object({ kind: z.literal('dropPlan') }),
]);

/** What the extension tells the page; `target` and `run` are complete, steps follow the run they belong to. */
export const playgroundUpdateSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('target'),
    target: playgroundTargetSchema,
    /** Names for people. */
    checkpoint: z.string(),
    plan: z.string().optional(),
    /** Why nothing can be generated now; absent where it can. */
    reason: z.string().optional(),
  }),
  z.object({ kind: z.literal('started'), settings: playgroundSettingsSchema }),
  z.object({ kind: z.literal('step'), step: generationStepSchema }),
  z.object({ kind: z.literal('progress'), fraction: z.number(), message: z.string() }),
  z.object({ kind: z.literal('finished'), result: generateResultSchema }),
  z.object({ kind: z.literal('stopped'), message: z.string().optional(), wayOut: z.string().optional() }),
]);

export type PlaygroundSettings = z.infer<typeof playgroundSettingsSchema>;
export type PlaygroundTarget = z.infer<typeof playgroundTargetSchema>;
export type PlaygroundMessage = z.infer<typeof playgroundMessageSchema>;
export type PlaygroundUpdate = z.infer<typeof playgroundUpdateSchema>;
