import * as z from 'zod';
import { generatedTokenSchema, generatedVariantSchema, generateResultSchema } from '../../engine/protocol/generation';
import {
  defaultPlaygroundSettings,
  playgroundSettingsSchema,
  playgroundTargetSchema,
} from '../../engine/protocol/playground';

/** What one model has written so far. */
const writtenSchema = generatedVariantSchema.partial({ ended: true }).extend({ tokens: z.array(generatedTokenSchema) });

/** What the person has set and what was generated last. Kept by VS Code over a reload; the extension reads `target` of it. */
export const uiStateSchema = z.object({
  target: playgroundTargetSchema.optional(),
  settings: playgroundSettingsSchema.default(defaultPlaygroundSettings),
  /** Position of the token whose experts are shown. */
  selected: z.number().int().min(0).default(0),
  written: z.array(writtenSchema).max(2).default([]),
  layers: generateResultSchema.shape.layers.default([]),
  notes: z.array(z.string()).default([]),
});

export type Written = z.infer<typeof writtenSchema>;
export type UiState = z.infer<typeof uiStateSchema>;

/** The state that an earlier life of the page wrote; anything unreadable starts afresh. */
export function readUiState(saved: unknown): UiState {
  const parsed = uiStateSchema.safeParse(saved ?? {});
  return parsed.success ? parsed.data : uiStateSchema.parse({});
}
