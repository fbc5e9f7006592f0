import * as z from 'zod';
import { pruneQualitySchema } from './pruning';

/** Every method by which experts can be merged. */
export const mergeMethodNames = ['m-smoe', 'hc-smoe', 'ream', 'mergemoe'] as const;

/** Tokens on which experts are compared and fitted, by default. */
export const defaultMergeSample = 2048;

/** How channels of experts are matched before they are averaged. */
export const mergeAlignmentNames = ['none', 'weights', 'activations'] as const;

/**
 * Which rows the router keeps: the first of every group; their weighted mean; or all of them, so that every expert's row leads to the
 * merged one, as the methods without a change of the router have it. The last saves nothing in runtimes that store every expert.
 */
export const mergeRouterNames = ['first', 'mean', 'all'] as const;

/**
 * What the down projection is refitted to: the part of the layer's output that the group's members have on the tokens that chose
 * them; the weighted mean of the members' outputs on all sampled tokens; or what the merged layer still lacks of its output, one
 * merged expert after the other.
 */
export const mergeRefitNames = ['none', 'routed', 'average', 'layer'] as const;

/** How the members of a group become one; `options` of the plan section. Absent keys take the simplest way. */
export const mergeOptionsSchema = z
  .object({
    alignment: z.enum(mergeAlignmentNames).default('none'),
    router: z.enum(mergeRouterNames).default('first'),
    refit: z.enum(mergeRefitNames).default('none'),
    /** Ridge of the refit relative to the mean square of a channel; chosen on held-out tokens where absent. */
    ridge: z.number().positive().optional(),
    /** Rank of the low-rank part as a share of the parameters of a matrix (MC-SMoE); no compression where absent. */
    rank: z.number().positive().max(1).optional(),
    /** Share of the rows of the sparse part that stay beside the low-rank part (MC-SMoE). */
    sparse: z.number().min(0).max(1).optional(),
  })
  .strict();

export const mergeParamsSchema = z.object({
  checkpoint: z.string(),
  method: z.enum(mergeMethodNames).default('mergemoe'),
  /** Share of the routed experts of every layer that goes (of all layers together with `ragged`). */
  ratio: z.number().min(0).lt(1),
  /** Calibration text; statistics are collected from it when `stats` is not given. */
  text: z.array(z.string()).default([]),
  /** Statistics file that `calibrate` wrote. */
  stats: z.string().optional(),
  alignment: z.enum(mergeAlignmentNames).optional(),
  router: z.enum(mergeRouterNames).optional(),
  refit: z.enum(mergeRefitNames).optional(),
  ridge: z.number().positive().optional(),
  rank: z.number().positive().max(1).optional(),
  sparse: z.number().min(0).max(1).optional(),
  /**
   * Let layers keep different numbers of experts with the same total: by how evenly they are used as M-SMoE has it, by the least
   * predicted damage for the other methods.
   */
  ragged: z.boolean().default(false),
  /**
   * Whether the plan is measured against pruning to the same size, and refits against each other where none was named. Needs text and a
   * plan to write; the model runs a few times.
   */
  compare: z.boolean().default(true),
  /** Whether experts with extreme activations may be merged too. */
  mergeSuperExperts: z.boolean().default(false),
  length: z.number().int().min(2).optional(),
  windows: z.number().int().positive().optional(),
  perDocument: z.boolean().default(false),
  /** Most tokens that this run calibrates on, spread evenly over datasets and tasks; 65 536 when there is no number of windows either. */
  tokens: z.number().int().positive().optional(),
  /** Tokens whose block inputs are kept, when this run calibrates. */
  sample: z.number().int().min(1).default(defaultMergeSample),
  seed: z.number().int().default(0),
  /** Plan file to create or update. */
  out: z.string().optional(),
});

export const mergedLayerSchema = z.object({
  index: z.number().int().describe('Decoder layer.'),
  groups: z.array(z.array(z.number().int())).describe('Experts that become one, ids of the checkpoint.'),
  weights: z.array(z.array(z.number())).describe('Share of every member in its group.'),
});

/** A model of the same size that was measured beside the merged one. */
export const comparedModelSchema = z.object({
  name: z.string().describe('For people: the merge with its refit, or what pruning goes by.'),
  kind: z.enum(['merge', 'prune']),
  refit: z.enum(mergeRefitNames).optional().describe('Refit of a merge.'),
  measured: pruneQualitySchema,
});

export const mergeResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string(),
  method: z.enum(mergeMethodNames),
  ratio: z.number(),
  layers: z.array(mergedLayerSchema),
  options: mergeOptionsSchema,
  /** Routed experts before and after, over all layers. */
  experts: z.number().int(),
  kept: z.number().int(),
  /** Bytes of the routed experts before and after. */
  expertBytes: z.number(),
  keptExpertBytes: z.number(),
  calibrationTokens: z.number().int(),
  /** This merge, other refits of it and pruning to the same size, nearest to the model first; measured on the same tokens. */
  comparison: z.array(comparedModelSchema).optional(),
  comparisonTokens: z.number().int().optional(),
  notes: z.array(z.string()),
  seed: z.number().int(),
  seconds: z.number(),
  plan: z.string().optional(),
});

/** One choice of groups: what the run decided, without the groups. */
export const mergeRunSchema = z.object({
  fingerprint: z.string(),
  method: z.enum(mergeMethodNames),
  ratio: z.number(),
  refit: z.enum(mergeRefitNames),
  kept: z.number().int().describe('Routed experts that are left, over all layers.'),
  keptExpertBytes: z.number().describe('Bytes of the routed experts that are left, as the checkpoint stores them.'),
  measured: pruneQualitySchema.optional(),
  measuredTokens: z.number().int().optional().describe('Tokens that were measured; the calibration left them out.'),
  seconds: z.number(),
  plan: z.string().optional().describe('The plan file the run wrote.'),
  finished: z.string().describe('ISO time at which the run ended.'),
});

export type MergeRun = z.infer<typeof mergeRunSchema>;
export type MergeMethodName = (typeof mergeMethodNames)[number];
export type MergeOptions = z.input<typeof mergeOptionsSchema>;
export type ResolvedMergeOptions = z.output<typeof mergeOptionsSchema>;
export type MergeParams = z.infer<typeof mergeParamsSchema>;
export type MergedLayer = z.infer<typeof mergedLayerSchema>;
export type ComparedModel = z.infer<typeof comparedModelSchema>;
export type MergeResult = z.infer<typeof mergeResultSchema>;
