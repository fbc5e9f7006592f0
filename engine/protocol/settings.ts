import * as z from 'zod';
import { providerNames } from './doctor';

/** What a client may set for a whole engine process. */
export const engineSettingsSchema = z.object({
  provider: z.enum(providerNames).default('auto'),
  /** Threads of one operator; 0 lets the engine take one per physical core. */
  threads: z.number().int().min(0).default(0),
  cacheDirectory: z.string(),
  cacheLimitBytes: z
    .number()
    .positive()
    .default(2 ** 31),
  /** Bytes of hidden states kept in memory; what goes beyond lies in temporary files. */
  hiddenMemoryBytes: z
    .number()
    .min(0)
    .default(2 ** 30),
});

export type EngineSettings = z.infer<typeof engineSettingsSchema>;
