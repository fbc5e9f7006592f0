import type { AllocationQuality, BudgetCandidate, BudgetResult } from '../../engine/protocol/budget';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import type { DashboardSnapshot, DecidedBits, MeasuredBudget } from '../../engine/protocol/dashboard';
import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { PruneRun } from '../../engine/protocol/expertScores';
import type { MergeRun } from '../../engine/protocol/merging';
import type { ProfileResult } from '../../engine/protocol/sensitivity';

/** Output change of a trained OLMoE checkpoint, 12 layers by k = 1 … 8, as a reference implementation measured it. */
export const outputChange: readonly (readonly number[])[] = [
  [0.4335, 0.3635, 0.3033, 0.2485, 0.1969, 0.1471, 0.0948, 0],
  [0.5513, 0.4509, 0.3716, 0.3028, 0.2402, 0.1809, 0.1179, 0],
  [0.5895, 0.4755, 0.389, 0.3168, 0.2518, 0.1896, 0.124, 0],
  [0.5772, 0.4696, 0.388, 0.3192, 0.2569, 0.1966, 0.1306, 0],
  [0.6098, 0.4943, 0.4079, 0.3354, 0.2697, 0.2064, 0.1373, 0],
  [0.6121, 0.4961, 0.4104, 0.3382, 0.2724, 0.2087, 0.139, 0],
  [0.6688, 0.5383, 0.4435, 0.3643, 0.293, 0.2238, 0.1486, 0],
  [0.7253, 0.5819, 0.4774, 0.3909, 0.3133, 0.2386, 0.1586, 0],
  [0.8152, 0.6537, 0.5354, 0.4378, 0.3503, 0.2663, 0.1763, 0],
  [0.8616, 0.6882, 0.5624, 0.4585, 0.3668, 0.2788, 0.1843, 0],
  [0.9239, 0.7347, 0.5992, 0.4881, 0.3892, 0.2953, 0.1949, 0],
  [1.0522, 0.8281, 0.6696, 0.5414, 0.4298, 0.3241, 0.2126, 0],
];

const trained = 8;
const outputNorm = 1.9;

export const summary: CheckpointSummary = {
  folder: '/models/olmoe-text',
  name: 'olmoe-text',
  family: 'olmoe',
  modelType: 'olmoe',
  parameters: 28_172_544,
  activeParameters: 10_480_896,
  bytes: 56_345_088,
  expertBytes: 47_185_920,
  dtype: 'bfloat16',
  hiddenSize: 256,
  expertIntermediateSize: 80,
  vocabularySize: 4096,
  experts: 32,
  activeExperts: trained,
  fingerprint: 'a'.repeat(64),
  hasTokenizer: true,
  configKeys: { experts: 'num_experts', activeExperts: 'num_experts_per_tok', dtype: 'dtype' },
  forward: { supported: true },
  block: { supported: true },
  layers: outputChange.map((_, index) => ({
    index,
    moe: true,
    experts: 32,
    active: trained,
    sharedExperts: 0,
    expertBytes: 3_932_160,
  })),
  warnings: [],
};

export const profile: ProfileResult = {
  checkpoint: summary.folder,
  fingerprint: summary.fingerprint,
  input: 'gaussian',
  samples: 16384,
  seed: 0,
  activeExperts: trained,
  layers: outputChange.map((raw, index) => ({
    index,
    raw: [...raw],
    relativeSquared: raw.map((value) => (value / outputNorm) ** 2),
    outputNorm,
    coefficientOfVariation: 0.004,
  })),
  coefficientOfVariation: 0.0041,
  seconds: 7.2,
  provider: 'cpu',
  resumedLayers: 0,
};

/** The best allocation of each total by adding the expert that helps most; exact here because the rows are convex. */
function allocate(total: number): number[] {
  const chosen = outputChange.map(() => 1);
  for (let spent = chosen.length; spent < total; spent += 1) {
    const gains = outputChange.map((row, layer) => {
      const k = chosen[layer]!;
      return k < trained ? row[k - 1]! - row[k]! : -1;
    });
    const best = gains.indexOf(Math.max(...gains));
    chosen[best]! += 1;
  }
  return chosen;
}

function predict(activeExperts: readonly number[]): number {
  return activeExperts.reduce((sum, k, layer) => sum + outputChange[layer]![k - 1]!, 0);
}

const layers = outputChange.map((_, index) => index);
const totals = Array.from({ length: 12 * (trained - 1) + 1 }, (_, at) => 12 + at);
const planTotal = 60;

export const budget: BudgetResult = {
  checkpoint: summary.folder,
  fingerprint: summary.fingerprint,
  objective: 'lexi',
  solver: 'exact',
  layers,
  activeExperts: allocate(planTotal),
  total: planTotal,
  predicted: predict(allocate(planTotal)),
  uniformPredicted: predict(layers.map(() => planTotal / 12)),
  front: totals.map((total) => {
    const activeExperts = allocate(total);
    return { total, average: total / 12, predicted: predict(activeExperts), activeExperts };
  }),
  seed: 0,
  seconds: 0.02,
};

const baselines = { prose: 12.9592, fr: 4.0683, code_py: 8.1933, man_en: 3.3669, wikitext2_test: 36.8054 };
const changed = {
  60: { prose: 13.1442, fr: 4.1549, code_py: 8.3973, man_en: 3.4518, wikitext2_test: 37.5584 },
  36: { prose: 13.8433, fr: 4.5389, code_py: 8.9147, man_en: 3.7663, wikitext2_test: 39.8867 },
} as const;

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

function evaluation(total: keyof typeof changed, finished: string): EvaluateResult {
  const perplexities = changed[total];
  const datasets = Object.entries(perplexities).map(([name, perplexity], at) => {
    const baselinePerplexity = baselines[name as keyof typeof baselines];
    return [
      name,
      { perplexity, tokens: 12264, baselinePerplexity, kl: 0.021 + at * 0.004, top1Agreement: 0.934 - at * 0.006 },
    ] as const;
  });
  return {
    checkpoint: summary.folder,
    fingerprint: summary.fingerprint,
    plan: `/models/olmoe-text/average-${String(total / 12)}.moeplan.json`,
    activeExperts: allocate(total),
    baseline: false,
    datasets: Object.fromEntries(datasets),
    geometricMeanPerplexity: geometricMean(Object.values(perplexities)),
    baselineGeometricMeanPerplexity: geometricMean(Object.values(baselines)),
    tasks: { copy: 0.981, reverse: 0.942, addition: 0.873 },
    baselineTasks: { copy: 0.981, reverse: 0.957, addition: 0.861 },
    meanAccuracy: 0.932,
    baselineMeanAccuracy: 0.933,
    seconds: 41.3,
    provider: 'cpu',
    finished,
  };
}

export const evaluations: EvaluateResult[] = [
  evaluation(36, '2026-08-20T10:12:00.000Z'),
  evaluation(60, '2026-08-20T11:03:00.000Z'),
];

/** What a prune run decided. */
export const pruneRun: PruneRun = {
  fingerprint: summary.fingerprint,
  method: 'reap',
  ratio: 0.25,
  keep: outputChange.map(() => Array.from({ length: 24 }, (_, expert) => expert)),
  measured: { kl: 0.08125, logPerplexity: Math.log(9.1), accuracy: 0.49 },
  calibrationTokens: 24576,
  seed: 0,
  finished: '2026-08-22T09:30:00.000Z',
};

/** What a merge run decided. */
export const mergeRun: MergeRun = {
  fingerprint: summary.fingerprint,
  method: 'mergemoe',
  ratio: 0.25,
  refit: 'layer',
  kept: 288,
  keptExpertBytes: 35.4e6,
  measured: { kl: 0.125, logPerplexity: Math.log(10.3), accuracy: 0.47 },
  measuredTokens: 24576,
  seconds: 75,
  finished: '2026-08-22T10:00:00.000Z',
};

/** What a quantize run decided. */
export const decidedBits: DecidedBits = {
  fingerprint: summary.fingerprint,
  method: 'gptq',
  averageBits: 4,
  effectiveBits: 4.5,
  bytes: 13e6,
  originalBytes: 47_185_920,
  kl: 0.0125,
  perplexity: 8.6,
  calibrationTokens: 24576,
  seconds: 61,
  finished: '2026-08-22T10:45:00.000Z',
};

const base: DashboardSnapshot = {
  kind: 'snapshot',
  engine: { state: 'idle', provider: 'cpu' },
  checkpoints: [
    { folder: '/models/olmoe-text', label: 'olmoe-text' },
    { folder: '/models/tasks', label: 'tasks' },
  ],
  selected: '/models/olmoe-text',
  summary,
  evaluations: [],
  stale: false,
  trusted: true,
};

const withoutCheckpoint: DashboardSnapshot = {
  kind: 'snapshot',
  engine: { state: 'stopped' },
  checkpoints: [],
  evaluations: [],
  stale: false,
  trusted: true,
};

/** Damage of a layer in nats per token, of the size that measuring it on the whole model gives. */
const nats = 0.018;
const divergence = (activeExperts: readonly number[]): number =>
  activeExperts.reduce((sum, k, layer) => sum + nats * outputChange[layer]![k - 1]! ** 2, 0);

/** What a search would measure for an allocation: a little off the sum, by a share of its own for every candidate. */
function candidate(
  name: string,
  activeExperts: number[],
  share: number,
): BudgetCandidate & { measured: AllocationQuality } {
  const kl = divergence(activeExperts) * share;
  const measured = { kl, logPerplexity: Math.log(8.402) + kl * 0.7, accuracy: 0.512 - kl };
  return { name, activeExperts, predicted: divergence(activeExperts), measured };
}

function shifted(activeExperts: readonly number[], moves: readonly (readonly [from: number, to: number])[]): number[] {
  const moved = [...activeExperts];
  for (const [from, to] of moves) {
    moved[from]! -= 1;
    moved[to]! += 1;
  }
  return moved;
}

const uniformPlan = layers.map(() => planTotal / 12);
const planCandidates = [
  candidate('search', shifted(allocate(planTotal), [[11, 0]]), 0.905),
  candidate('end-to-end', allocate(planTotal), 0.943),
  candidate('calibrated', shifted(allocate(planTotal), [[10, 1]]), 0.951),
  candidate('relative-squared', shifted(allocate(planTotal), [[9, 1]]), 0.968),
  candidate('uniform', uniformPlan, 0.97),
  candidate(
    'random',
    shifted(uniformPlan, [
      [11, 0],
      [10, 1],
      [9, 2],
    ]),
    1.08,
  ),
  candidate(
    'lexi',
    shifted(allocate(planTotal), [
      [11, 2],
      [10, 3],
    ]),
    1.3,
  ),
  candidate(
    'random',
    shifted(uniformPlan, [
      [11, 0],
      [11, 3],
      [10, 4],
      [9, 5],
    ]),
    1.2,
  ),
].sort((one, other) => one.measured.kl - other.measured.kl);

/** A result of `auto`: searched, measured, with its candidates. */
export const searchedBudget: BudgetResult = {
  ...budget,
  objective: 'auto',
  chosen: 'search',
  activeExperts: planCandidates[0]!.activeExperts,
  predicted: planCandidates[0]!.predicted,
  measured: planCandidates[0]!.measured,
  candidates: planCandidates,
  uniformPredicted: divergence(uniformPlan),
  rankCorrelation: 0.934,
  calibrationTokens: 24576,
  measurements: 64,
  front: budget.front.map((point) => ({ ...point, predicted: divergence(point.activeExperts) })),
  seconds: 412,
};

/** An earlier search at another total, as the history keeps it. */
function measuredRun(total: number, share: number): MeasuredBudget {
  const taken = candidate('end-to-end', allocate(total), share);
  return {
    fingerprint: summary.fingerprint,
    layers,
    activeExperts: taken.activeExperts,
    total,
    chosen: taken.name,
    measured: taken.measured,
    candidates: [taken],
    rankCorrelation: 0.9,
    calibrationTokens: 24576,
  };
}

export const measuredRuns: MeasuredBudget[] = [measuredRun(24, 0.86), measuredRun(36, 0.9), measuredRun(72, 0.97)];

/** One snapshot for each state a person can meet. */
export const snapshots = {
  measured: { ...base, profile, budget, evaluations },
  inspected: base,
  profiled: { ...base, profile },
  untrusted: { ...withoutCheckpoint, trusted: false },
  empty: withoutCheckpoint,
  reading: { ...withoutCheckpoint, checkpoints: base.checkpoints, selected: '/models/olmoe-text' },
  running: {
    ...base,
    profile,
    engine: { state: 'busy', provider: 'cpu' },
    job: { title: 'Finding budgets', message: 'Layer 5 of 12', fraction: 0.42 },
  },
  searched: { ...base, profile, budget: searchedBudget, measuredBudgets: measuredRuns, evaluations },
  searching: {
    ...base,
    profile,
    engine: { state: 'busy', provider: 'cpu' },
    job: {
      title: 'Finding budgets for olmoe-text',
      message: 'Measurement 23: best KL so far 0.02143 nats',
      fraction: 0.77,
      keepsBest: true,
    },
  },
  failed: {
    ...base,
    profile,
    error: {
      message: 'model-00002-of-00004.safetensors: the header ends beyond the file.',
      wayOut: 'Download the shard again.',
    },
  },
  engineFailed: { ...base, engine: { state: 'failed', message: 'It ended with signal SIGKILL (out of memory?).' } },
  stale: { ...base, profile, budget, evaluations, stale: true },
  blockOnly: {
    ...base,
    summary: {
      ...summary,
      forward: { supported: false, reason: 'the attention of this family is not known.' },
      warnings: ['tie_word_embeddings is missing; the stored output matrix is used.'],
    },
  },
} satisfies Record<string, DashboardSnapshot>;

/** A measured number as the views show it: three significant digits, zero alone. */
export function shownNumber(value: number): string {
  const digits = { minimumSignificantDigits: value === 0 ? 1 : 3, maximumSignificantDigits: 3 };
  return new Intl.NumberFormat('en', digits).format(value);
}

const manyLayers = Array.from({ length: 58 }, (_, index) => index);

/** A model as deep as the largest in use: the numbers of the trained one, stretched over 58 layers after three dense ones. */
export const deepSnapshot: DashboardSnapshot = {
  ...snapshots.measured,
  evaluations: [],
  profile: {
    ...profile,
    layers: manyLayers.map((index) => ({ ...profile.layers[Math.floor(index / 5)]!, index: index + 3 })),
  },
  budget: {
    ...budget,
    layers: manyLayers.map((index) => index + 3),
    activeExperts: manyLayers.map((index) => budget.activeExperts[Math.floor(index / 5)]!),
    total: manyLayers.reduce((sum, index) => sum + budget.activeExperts[Math.floor(index / 5)]!, 0),
  },
};
