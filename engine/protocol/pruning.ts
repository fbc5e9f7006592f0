import * as z from 'zod';
import { planPruneSchema, planReplacementNames } from './plan';

/** Every method by which experts can be ranked; `auto` measures the plans of the others and takes the best. */
export const pruneMethodNames = [
  'auto',
  'frequency',
  'gate-mass',
  'ean',
  'man',
  'msan',
  'reap',
  'razor',
  'hope',
  'omp',
  'easy-ep',
  'tcess',
  'naee',
  'stun',
  'router-change',
  'aimer',
  'weight-norm',
  'router-norm',
  'mone',
  'random',
] as const;

/** What to do about gates that grow when rows of a softmax router without renormalisation go. */
export const pruneCorrectionNames = ['none', 'folded'] as const;

/** What stands where experts went: nothing (their router rows go too), zero, or their mean output. */
export const pruneReplacementNames = ['none', ...planReplacementNames] as const;

/** Measurements of plans that `auto` may make, candidates included. */
export const defaultPruneEvaluations = 160;
export const defaultPruneCalibrationTokens = 24576;

export const pruneParamsSchema = z.object({
  checkpoint: z.string(),
  method: z.enum(pruneMethodNames).default('auto'),
  /** Share of the routed experts of every layer that goes (of all layers together with `ragged`). */
  ratio: z.number().min(0).lt(1),
  /** Calibration text; statistics are collected from it when `stats` is not given. */
  text: z.array(z.string()).default([]),
  /** Statistics file that `calibrate` wrote. */
  stats: z.string().optional(),
  /** Tags (tasks, domains) of the calibration text to rank by; all of it when empty. */
  task: z.array(z.string()).default([]),
  /** Text whose stored task profile is looked up; the nearest task is used. */
  retrieve: z.array(z.string()).default([]),
  /** Base checkpoint the model was fine-tuned from, for `router-change`. */
  base: z.string().optional(),
  /** Let layers keep different numbers of experts, with the same total. */
  ragged: z.boolean().default(false),
  /** Without one, single methods correct nothing and `auto` measures both. */
  correction: z.enum(pruneCorrectionNames).optional(),
  replacement: z.enum(pruneReplacementNames).default('none'),
  /** Whether experts with extreme activations may go too. */
  pruneSuperExperts: z.boolean().default(false),
  length: z.number().int().min(2).optional(),
  windows: z.number().int().positive().optional(),
  perDocument: z.boolean().default(false),
  /** Most tokens that this run calibrates on, spread evenly over datasets and tasks; 65 536 when there is no number of windows either. */
  tokens: z.number().int().positive().optional(),
  /** Tokens that measuring methods (naee, auto) measure on. */
  calibrationTokens: z.number().int().positive().default(defaultPruneCalibrationTokens),
  /** Measurements that the search of `auto` may make, candidates included. */
  evaluations: z.number().int().positive().default(defaultPruneEvaluations),
  seed: z.number().int().default(0),
  /** Plan file to create or update. */
  out: z.string().optional(),
});

/** What a set of experts does to one layer. Ids are those of the checkpoint. */
export const prunedLayerSchema = z.object({
  index: z.number().int().describe('Decoder layer.'),
  keep: z.array(z.number().int()).describe('Experts that stay, ascending.'),
  scores: z.array(z.number()).describe('Score of every expert by the method; the higher, the more it is needed.'),
});

/** Quality of a pruned model on held-out calibration text against the model as trained. */
export const pruneQualitySchema = z.object({
  kl: z.number().describe('Mean KL(full model || pruned model) per token, in nats.'),
  logPerplexity: z.number(),
  accuracy: z.number().describe('Share of tokens whose arg-max is right.'),
});

/** One plan that `auto` considered. */
export const pruneCandidateSchema = z.object({
  name: z.string(),
  correction: z.enum(pruneCorrectionNames),
  keep: planPruneSchema.shape.keep,
  measured: pruneQualitySchema.nullable(),
});

export const pruneResultSchema = z.object({
  checkpoint: z.string(),
  fingerprint: z.string(),
  method: z.enum(pruneMethodNames),
  ratio: z.number(),
  layers: z.array(prunedLayerSchema),
  /** Factor on the routed output per MoE layer, when the correction was asked for and the router needs one. */
  correction: z.array(z.number()).optional(),
  /** What stands where experts went; absent where nothing does. */
  replacement: z.enum(planReplacementNames).optional(),
  /** Routed experts before and after, over all layers. */
  experts: z.number().int(),
  kept: z.number().int(),
  /** Bytes of the routed experts before and after. */
  expertBytes: z.number(),
  keptExpertBytes: z.number(),
  /** What `auto` took: a method, or `search` when the search beat all of them. */
  chosen: z.string().optional(),
  measured: pruneQualitySchema.optional(),
  /** Plans that `auto` measured, best first; random controls included. */
  candidates: z.array(pruneCandidateSchema).optional(),
  /** The stored task whose profile was nearest to the text that was given. */
  retrieved: z.object({ task: z.string(), distance: z.number() }).optional(),
  /** True when the person stopped the search and this is the best so far. */
  interrupted: z.boolean().optional(),
  calibrationTokens: z.number().int().optional(),
  measurements: z.number().int().optional(),
  notes: z.array(z.string()),
  seed: z.number().int(),
  seconds: z.number(),
  plan: z.string().optional(),
});

export type PruneMethodName = (typeof pruneMethodNames)[number];
export type PruneCorrectionName = (typeof pruneCorrectionNames)[number];
export type PruneParams = z.infer<typeof pruneParamsSchema>;
export type PrunedLayer = z.infer<typeof prunedLayerSchema>;
export type PruneQuality = z.infer<typeof pruneQualitySchema>;
export type PruneCandidate = z.infer<typeof pruneCandidateSchema>;
export type PruneResult = z.infer<typeof pruneResultSchema>;
