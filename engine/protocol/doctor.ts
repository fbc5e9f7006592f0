import * as z from 'zod';
import { expertPrecisions } from './providerNames';

export const providerReportSchema = z.object({
  name: z.string(),
  available: z.boolean(),
  reason: z.string(),
  gflops: z.number().nullable(),
  /** Precisions in which its experts agree with the processor. */
  precisions: z.array(z.enum(expertPrecisions)).optional(),
  /** Whether its fused operator of experts agrees with the processor. */
  fusedExperts: z.boolean().optional(),
});

export const doctorResultSchema = z.object({
  requested: z.string(),
  selected: z.string(),
  reason: z.string(),
  providers: z.array(providerReportSchema),
  versions: z.record(z.string(), z.string()),
  threads: z.number().int(),
  cacheDirectory: z.string(),
});

export type ProviderReport = z.infer<typeof providerReportSchema>;
export type DoctorResult = z.infer<typeof doctorResultSchema>;
