import * as z from 'zod';
import { expertPrecisions, providerNames } from './providerNames';

/** What a client may set for a whole engine process. */
export const engineSettingsSchema = z.object({
  provider: z.enum(providerNames).default('auto'),
  /** Threads of one operator; 0 lets the engine take one per physical core. */
  threads: z.number().int().min(0).default(0),
  /** Precision of the experts on a GPU, float32 where it is left out; processors always compute in float32. */
  precision: z.enum(expertPrecisions).optional(),
  /** Folder that ONNX Runtime is taken from; absent: the one that comes with the engine. */
  runtimeDirectory: z.string().optional(),
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
  /** Bytes of a GPU's memory that may be used; absent: all of them. */
  deviceMemoryBytes: z.number().positive().optional(),
});

export type EngineSettings = z.infer<typeof engineSettingsSchema>;
