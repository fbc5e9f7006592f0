import type { BudgetResult } from '../../engine/protocol/budget';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { ProfileResult } from '../../engine/protocol/sensitivity';

/** A small checkpoint as the engine describes it: a dense layer and two MoE layers of 8 experts, 2 of them active. */
export function summaryOf(change: Partial<CheckpointSummary> = {}): CheckpointSummary {
  const moeLayer = { moe: true, experts: 8, active: 2, sharedExperts: 0, expertBytes: 4e6 };
  return {
    folder: '/models/mixtral',
    name: 'mixtral',
    family: 'mixtral',
    modelType: 'mixtral',
    parameters: 5e6,
    activeParameters: 1.2e6,
    bytes: 1e7,
    expertBytes: 8e6,
    dtype: 'BF16',
    hiddenSize: 64,
    expertIntermediateSize: 96,
    vocabularySize: 256,
    experts: 8,
    activeExperts: 2,
    fingerprint: 'f00d',
    hasTokenizer: true,
    configKeys: { experts: 'num_local_experts', activeExperts: 'num_experts_per_tok' },
    forward: { supported: true },
    block: { supported: true },
    layers: [
      { index: 0, moe: false, experts: 0, active: 0, sharedExperts: 0, expertBytes: 0 },
      { index: 1, ...moeLayer },
      { index: 2, ...moeLayer },
    ],
    warnings: [],
    ...change,
  };
}

/** A sensitivity profile of two layers at k = 1 and 2. */
export function profileOf(change: Partial<ProfileResult> = {}): ProfileResult {
  const layer = (index: number, error: number): ProfileResult['layers'][number] => ({
    index,
    raw: [error * 2, 0],
    relativeSquared: [error, 0],
    outputNorm: 1,
    coefficientOfVariation: 0.008,
  });
  return {
    checkpoint: '/models/mixtral',
    fingerprint: 'f00d',
    input: 'gaussian',
    samples: 1024,
    seed: 0,
    activeExperts: 2,
    layers: [layer(0, 0.1), layer(1, 0.3)],
    coefficientOfVariation: 0.008,
    seconds: 1.5,
    provider: 'cpu',
    resumedLayers: 0,
    ...change,
  };
}

/** An evaluation of a plan against the baseline. */
export function evaluationOf(change: Partial<EvaluateResult> = {}): EvaluateResult {
  return {
    checkpoint: '/models/mixtral',
    fingerprint: 'f00d',
    plan: '/plans/small.moeplan.json',
    activeExperts: [1, 2],
    baseline: false,
    datasets: { wiki: { perplexity: 3.25, tokens: 900, baselinePerplexity: 3, kl: 0.0125, top1Agreement: 0.91 } },
    geometricMeanPerplexity: 3.25,
    baselineGeometricMeanPerplexity: 3,
    tasks: { copy: 0.9 },
    meanAccuracy: 0.9,
    baselineMeanAccuracy: 0.977,
    seconds: 2,
    provider: 'cpu',
    finished: '2026-01-01T00:00:00.000Z',
    ...change,
  };
}

/** Budgets of the two MoE layers. */
export function budgetOf(change: Partial<BudgetResult> = {}): BudgetResult {
  return {
    checkpoint: '/models/mixtral',
    fingerprint: 'f00d',
    objective: 'lexi',
    solver: 'exact',
    layers: [1, 2],
    activeExperts: [1, 2],
    total: 3,
    predicted: 0.2,
    uniformPredicted: 0.3,
    front: [{ total: 3, average: 1.5, predicted: 0.2, activeExperts: [1, 2] }],
    seed: 0,
    seconds: 0.1,
    ...change,
  };
}
