import * as z from 'zod';

/** What a plan can be written for, as `--target` spells it. */
export const targetNames = ['huggingface', 'vllm', 'sglang', 'llama.cpp', 'onnx', 'compressed-tensors'] as const;

/** How the active experts of a plan reach a runtime. */
export const deliveries = ['scalar', 'list', 'loader', 'graph'] as const;

/** How a plan's rounding gets into a GGUF file, as `--gguf-blocks` spells it. */
export const ggufBlockNames = ['codes', 'k-quants'] as const;

export const applyParamsSchema = z.object({
  checkpoint: z.string(),
  /** Plan file whose decisions are written. */
  plan: z.string(),
  target: z.enum(targetNames),
  /** Folder to create; it must not exist. */
  out: z.string(),
  /** For llama.cpp: the plan's own codes (default), or super-blocks of about as many bits. */
  ggufBlocks: z.enum(ggufBlockNames).optional(),
});

export const writtenFileSchema = z.object({
  name: z.string().describe('Path below the folder, with slashes.'),
  bytes: z.number().int(),
});

export const applyResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string().describe('Of the weights: the same before and after.'),
  plan: z.string(),
  target: z.enum(targetNames),
  out: z.string(),
  delivery: z
    .enum(deliveries)
    .describe(
      'One number for all layers, a list in the config, generated code that sets a number per layer, or a model that computes them.',
    ),
  activeExperts: z.array(z.number().int()),
  experts: z
    .array(z.number().int())
    .optional()
    .describe('Experts that are left per MoE layer in order; absent where the weights are those of the checkpoint.'),
  files: z.array(writtenFileSchema),
  bytes: z.number().int().describe('Bytes of the files as they lie on disk.'),
  predictedBytes: z.number().int().describe('The same as computed before anything was written.'),
  notes: z.array(z.string()),
  seconds: z.number(),
});

/** What every target can load of a plan: asked before a target is chosen. */
export const exportTargetsParamsSchema = z.object({ checkpoint: z.string(), plan: z.string() });

export const exportTargetsResultSchema = z.object({
  targets: z.array(
    z.object({
      name: z.enum(targetNames),
      title: z.string(),
      accepts: z.boolean(),
      explanation: z.string().describe('How the plan reaches this target, or why it cannot.'),
      ggufBlocks: z
        .array(z.enum(ggufBlockNames))
        .optional()
        .describe('Forms that the bits of the plan can take in the GGUF file that would be written.'),
    }),
  ),
});

export type TargetName = (typeof targetNames)[number];
export type GgufBlocks = (typeof ggufBlockNames)[number];
export type Delivery = (typeof deliveries)[number];
export type ApplyParams = z.infer<typeof applyParamsSchema>;
export type ApplyResult = z.infer<typeof applyResultSchema>;
export type ExportTargetsParams = z.infer<typeof exportTargetsParamsSchema>;
export type ExportTargetsResult = z.infer<typeof exportTargetsResultSchema>;
