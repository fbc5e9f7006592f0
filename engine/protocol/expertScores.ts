import * as z from 'zod';
import { pruneMethodNames, pruneQualitySchema } from './pruning';

/** What one method thinks of every expert of a checkpoint: kept in the history, so that an editor can show and rank by it. */
export const expertScoresSchema = z.object({
  fingerprint: z.string(),
  method: z.enum(pruneMethodNames),
  title: z.string().describe('What the method is called in a sentence.'),
  rule: z.string().describe('What the method keeps, for a person.'),
  reference: z.string().describe('Where the method was published.'),
  tasks: z.array(z.string()).describe('Tasks or domains of the text that was counted; all of it when empty.'),
  calibrationTokens: z.number().int().optional().describe('Tokens of text behind the scores; absent without text.'),
  seed: z.number().int(),
  finished: z.string().describe('ISO time at which the run ended.'),
  layers: z.array(
    z.object({
      index: z.number().int().describe('Decoder layer.'),
      scores: z
        .array(z.number())
        .describe('One per expert; the higher, the more it is needed. Six significant digits.'),
    }),
  ),
});

/** One choice of experts: what the run decided, without its scores. */
export const pruneRunSchema = z.object({
  fingerprint: z.string(),
  method: z.enum(pruneMethodNames),
  chosen: z.string().optional().describe('What `auto` took: a method, or `search`.'),
  ratio: z.number(),
  keep: z.array(z.array(z.number().int())).describe('Experts that stay, per MoE layer in order.'),
  measured: pruneQualitySchema.optional(),
  calibrationTokens: z.number().int().optional(),
  seed: z.number().int(),
  plan: z.string().optional().describe('The plan file the run wrote.'),
  finished: z.string().describe('ISO time at which the run ended.'),
});

export type ExpertScores = z.infer<typeof expertScoresSchema>;
export type PruneRun = z.infer<typeof pruneRunSchema>;
