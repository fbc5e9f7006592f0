import * as z from 'zod';
import { applyParamsSchema, applyResultSchema, exportTargetsParamsSchema, exportTargetsResultSchema } from './apply';
import { benchParamsSchema, benchResultSchema } from './bench';
import { budgetParamsSchema, budgetResultSchema } from './budget';
import { calibrateParamsSchema, calibrateResultSchema } from './calibration';
import { checkpointSummarySchema } from './checkpointSummary';
import { doctorResultSchema } from './doctor';
import { generateParamsSchema, generateResultSchema, generationStepSchema } from './generation';
import { evaluateParamsSchema, evaluateResultSchema } from './evaluation';
import { expertScoresSchema, pruneRunSchema } from './expertScores';
import { mergeParamsSchema, mergeResultSchema, mergeRunSchema } from './merging';
import { setActiveExpertsParamsSchema, setActiveExpertsResultSchema } from './onnxModel';
import { pruneParamsSchema, pruneResultSchema } from './pruning';
import { quantizeParamsSchema, quantizeResultSchema } from './quantization';
import { profileParamsSchema, profileResultSchema } from './sensitivity';
import { engineSettingsSchema } from './settings';
import { solveBudgetsParamsSchema, solveBudgetsResultSchema } from './solveBudgets';

/** Version of this protocol; client and engine must agree exactly. */
export const protocolVersion = 1;

/** A request that carries its types: validated on both sides at run time. */
export interface RequestType<Params extends z.ZodType, Result extends z.ZodType> {
  readonly method: string;
  readonly params: Params;
  readonly result: Result;
}

/** A one-way message that carries its type. */
export interface NotificationType<Params extends z.ZodType> {
  readonly method: string;
  readonly params: Params;
}

const checkpointOnly = z.object({ checkpoint: z.string() });

export const initializeRequest = {
  method: 'initialize',
  params: z.object({ protocolVersion: z.number(), client: z.string(), settings: engineSettingsSchema }),
  result: z.object({ protocolVersion: z.number(), engineVersion: z.string(), processId: z.number() }),
} satisfies RequestType<z.ZodType, z.ZodType>;

export const doctorRequest = {
  method: 'doctor',
  params: z.object({}),
  result: doctorResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

export const inspectRequest = {
  method: 'inspect',
  params: checkpointOnly,
  result: checkpointSummarySchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

export const profileRequest = {
  method: 'profile',
  params: profileParamsSchema,
  result: profileResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

export const budgetRequest = {
  method: 'budget',
  params: budgetParamsSchema,
  result: budgetResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** One pass of text through the model: statistics of router and experts, written to a file. */
export const calibrateRequest = {
  method: 'calibrate',
  params: calibrateParamsSchema,
  result: calibrateResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** Chooses bits for the experts, rounds them, measures the result and writes the plan section. */
export const quantizeRequest = {
  method: 'quantize',
  params: quantizeParamsSchema,
  result: quantizeResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** Chooses which experts become one, and writes a plan. */
export const mergeRequest = {
  method: 'merge',
  params: mergeParamsSchema,
  result: mergeResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

export const evaluateRequest = {
  method: 'evaluate',
  params: evaluateParamsSchema,
  result: evaluateResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** The exact front of a known table under other bounds; nothing is measured. */
export const solveBudgetsRequest = {
  method: 'solveBudgets',
  params: solveBudgetsParamsSchema,
  result: solveBudgetsResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** Measures the speed of the exported model, and of a plan against it. */
export const benchRequest = {
  method: 'bench',
  params: benchParamsSchema,
  result: benchResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** Goes on from a prompt with the model as it was trained and as a plan leaves it, and tells which experts each token used. */
export const generateRequest = {
  method: 'generate',
  params: generateParamsSchema,
  result: generateResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** Chooses which experts stay, and writes a plan. */
export const pruneRequest = {
  method: 'prune',
  params: pruneParamsSchema,
  result: pruneResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** Writes what a plan decides for one runtime. */
export const applyRequest = {
  method: 'apply',
  params: applyParamsSchema,
  result: applyResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** Changes the active experts of an existing ONNX model in place. */
export const setActiveExpertsRequest = {
  method: 'setActiveExperts',
  params: setActiveExpertsParamsSchema,
  result: setActiveExpertsResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** What every target can load of a plan; nothing is written. */
export const exportTargetsRequest = {
  method: 'exportTargets',
  params: exportTargetsParamsSchema,
  result: exportTargetsResultSchema,
} satisfies RequestType<z.ZodType, z.ZodType>;

/** Results of finished runs on one checkpoint, newest last; header reads only, nothing is computed. */
export const historyRequest = {
  method: 'history',
  params: checkpointOnly,
  result: z.object({
    fingerprint: z.string(),
    profiles: z.array(profileResultSchema),
    budgets: z.array(budgetResultSchema),
    evaluations: z.array(evaluateResultSchema),
    /** What was found out about use and coverage; the statistics themselves are in the files these name. */
    calibrations: z.array(calibrateResultSchema).default([]),
    /** Of each method that ranked the experts, its newest scores. */
    expertScores: z.array(expertScoresSchema).default([]),
    /** What pruning decided. */
    pruneRuns: z.array(pruneRunSchema).default([]),
    /** What merging decided. */
    mergeRuns: z.array(mergeRunSchema).default([]),
    /** Bits that were chosen for experts, with what they cost. */
    quantizations: z.array(quantizeResultSchema).default([]),
  }),
} satisfies RequestType<z.ZodType, z.ZodType>;

/** Deletes every cached result and per-layer measurement. */
export const clearCacheRequest = {
  method: 'clearCache',
  params: z.object({}),
  result: z.object({ freedBytes: z.number() }),
} satisfies RequestType<z.ZodType, z.ZodType>;

export type History = z.infer<typeof historyRequest.result>;

/** All requests the engine answers: the server and the client iterate over this table. */
export const engineRequests = {
  initialize: initializeRequest,
  doctor: doctorRequest,
  inspect: inspectRequest,
  profile: profileRequest,
  budget: budgetRequest,
  solveBudgets: solveBudgetsRequest,
  calibrate: calibrateRequest,
  quantize: quantizeRequest,
  merge: mergeRequest,
  evaluate: evaluateRequest,
  bench: benchRequest,
  generate: generateRequest,
  prune: pruneRequest,
  apply: applyRequest,
  setActiveExperts: setActiveExpertsRequest,
  exportTargets: exportTargetsRequest,
  history: historyRequest,
  clearCache: clearCacheRequest,
} as const;

export type EngineRequests = typeof engineRequests;

/** How far a job is; fraction runs from 0 to 1. `job` is the id the client put into the request envelope. */
export const progressNotification = {
  method: 'job/progress',
  params: z.object({ job: z.string(), fraction: z.number(), message: z.string() }),
} satisfies NotificationType<z.ZodType>;

/** A step begins that cannot be interrupted; past the deadline the supervisor ends the process. */
export const stepStartedNotification = {
  method: 'job/stepStarted',
  params: z.object({ job: z.string(), label: z.string(), deadlineSeconds: z.number() }),
} satisfies NotificationType<z.ZodType>;

/** A token that a running `generate` chose. */
export const generatedNotification = {
  method: 'job/generated',
  params: z.object({ job: z.string(), step: generationStepSchema }),
} satisfies NotificationType<z.ZodType>;

export const stepEndedNotification = {
  method: 'job/stepEnded',
  params: z.object({ job: z.string() }),
} satisfies NotificationType<z.ZodType>;

export const logNotification = {
  method: 'log',
  params: z.object({ level: z.enum(['debug', 'info', 'warn', 'error']), message: z.string() }),
} satisfies NotificationType<z.ZodType>;

/** Every request travels in this envelope, so that progress can name the job it belongs to. */
export const requestEnvelopeSchema = z.object({ job: z.string(), params: z.unknown() });

/** `data` of a JSON-RPC error response: the parts of a TunerError. */
export const errorDataSchema = z.object({
  code: z.string(),
  file: z.string().optional(),
  place: z.string().optional(),
  wayOut: z.string().optional(),
  fix: z.object({ key: z.string(), value: z.number() }).optional(),
});
