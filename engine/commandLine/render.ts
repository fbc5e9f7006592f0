import type { ApplyResult } from '../protocol/apply';
import type { BudgetResult } from '../protocol/budget';
import type { CheckpointSummary } from '../protocol/checkpointSummary';
import type { DoctorResult } from '../protocol/doctor';
import type { EvaluateResult } from '../protocol/evaluation';
import type { ProfileResult } from '../protocol/sensitivity';
import { bytes, percent, significant, textTable } from './table';

/** Results as text for people; `--json` prints the same results whole. */

export function renderDoctor(result: DoctorResult): string {
  const rows = result.providers.map(({ name, available, gflops, reason }) => [
    name,
    available ? 'yes' : 'no',
    gflops === null ? '–' : String(Math.round(gflops)),
    reason.split('\n', 1)[0]!.slice(0, 120),
  ]);
  const versions = Object.entries(result.versions).map(([name, version]) => `${name} ${version}`);
  return [
    textTable(['provider', 'available', 'GFLOP/s', 'reason'], rows),
    '',
    `Asked for: ${result.requested}. Selected: ${result.selected}. ${result.reason}`,
    `Threads: ${result.threads}. Cache: ${result.cacheDirectory}`,
    versions.join(' · '),
  ].join('\n');
}

export function renderSummary(summary: CheckpointSummary): string {
  const rows = summary.layers.map(({ index, moe, experts, active, sharedExperts, expertBytes }) => [
    String(index),
    moe ? 'MoE' : 'dense',
    moe ? String(experts) : '–',
    moe ? String(active) : '–',
    moe ? String(sharedExperts) : '–',
    moe ? bytes(expertBytes) : '–',
  ]);
  return [
    `${summary.name}: ${summary.family} (${summary.modelType}), ${summary.dtype}, ${bytes(summary.bytes)}`,
    `${(summary.parameters / 1e6).toFixed(1)} M parameters, ${(summary.activeParameters / 1e6).toFixed(1)} M active per token; experts take ${bytes(summary.expertBytes)}`,
    `full forward: ${summary.forward.supported ? 'yes' : summary.forward.reason}`,
    '',
    textTable(['layer', 'kind', 'experts', 'active', 'shared', 'expert bytes'], rows),
    ...summary.warnings.map((warning) => `warning: ${warning}`),
  ].join('\n');
}

export function renderProfile(result: ProfileResult): string {
  const most = Math.max(...result.layers.map(({ raw }) => raw.length));
  const header = ['layer', ...Array.from({ length: most }, (_, at) => `k=${at + 1}`), '‖Y‖'];
  const rows = result.layers.map(({ index, raw, outputNorm }) => [
    String(index),
    ...Array.from({ length: most }, (_, at) => (raw[at] === undefined ? '–' : raw[at].toFixed(4))),
    outputNorm.toFixed(4),
  ]);
  return [
    'Sensitivity: ‖Y_k − Y_k0‖_F / √tokens per MoE layer',
    textTable(header, rows),
    `${result.samples} samples a layer, coefficient of variation ${percent(result.coefficientOfVariation)}, ${result.seconds.toFixed(1)} s on ${result.provider}${result.resumedLayers > 0 ? `, ${result.resumedLayers} layers from the cache` : ''}`,
  ].join('\n');
}

function renderCandidates(result: BudgetResult): string[] {
  if (result.candidates === undefined) {
    return [];
  }
  const rows = result.candidates.map(({ name, predicted, measured, activeExperts }) => [
    name,
    predicted === null ? '–' : significant(predicted),
    measured === null ? '–' : significant(measured.kl),
    measured === null ? '–' : Math.exp(measured.logPerplexity).toFixed(4),
    activeExperts.join(' '),
  ]);
  const correlation = result.rankCorrelation ?? null;
  return [
    '',
    textTable(['candidate', 'predicted', 'measured KL', 'perplexity', 'active experts'], rows),
    `Rank correlation of prediction and measurement: ${correlation === null ? '–' : correlation.toFixed(3)}; ${result.measurements ?? 0} measurements on ${result.calibrationTokens ?? 0} tokens${result.heldOutTokens === undefined ? '' : `, compared on ${result.heldOutTokens} others`}`,
    ...(result.interrupted === true ? ['The search was stopped: this is the best so far.'] : []),
  ];
}

export function renderBudget(result: BudgetResult, showFront: boolean): string {
  const rows = result.layers.map((layer, at) => [String(layer), String(result.activeExperts[at])]);
  const predicted = (value: number | null) => (value === null ? '–' : significant(value));
  const front = result.front.map((point) => [
    String(point.total),
    point.average.toFixed(2),
    predicted(point.predicted),
    point.activeExperts.join(' '),
  ]);
  return [
    `Objective ${result.objective}, solver ${result.solver}: ${result.total} active experts in all, predicted loss ${predicted(result.predicted)}, uniform ${predicted(result.uniformPredicted)}`,
    showFront
      ? textTable(['total', 'average', 'predicted', 'active experts'], front)
      : textTable(['layer', 'active experts'], rows),
    ...renderCandidates(result),
    ...(result.totalCost === undefined
      ? []
      : [
          `Cost: ${significant(result.totalCost)} of ${significant(result.fullCost ?? 0)} ${result.cost ?? ''}${result.measuredCost === undefined ? '' : `, measured afterwards ${significant(result.measuredCost)} (predicted ${percent(result.totalCost / result.measuredCost - 1)} off)`}`,
        ]),
    ...(result.notes ?? []),
    ...(result.plan === undefined ? [] : [`Plan: ${result.plan}`]),
  ].join('\n');
}

export function renderEvaluation(result: EvaluateResult): string {
  const dash = (value: number | undefined, show: (value: number) => string) =>
    value === undefined ? '–' : show(value);
  const datasets = Object.entries(result.datasets).map(([name, value]) => [
    name,
    dash(result.baseline ? value.perplexity : value.baselinePerplexity, (x) => x.toFixed(4)),
    result.baseline ? '–' : value.perplexity.toFixed(4),
    dash(value.kl, significant),
    dash(value.top1Agreement, percent),
    String(value.tokens),
  ]);
  const tasks = Object.entries(result.tasks).map(([name, accuracy]) => [
    name,
    percent(result.baselineTasks?.[name] ?? accuracy),
    result.baseline ? '–' : percent(accuracy),
  ]);
  if (tasks.length > 0) {
    const before = result.baselineMeanAccuracy ?? result.meanAccuracy ?? 0;
    tasks.push(['mean', percent(before), result.baseline ? '–' : percent(result.meanAccuracy ?? 0)]);
  }
  return [
    ...(datasets.length > 0
      ? [textTable(['dataset', 'baseline ppl', 'plan ppl', 'KL', 'top-1', 'tokens'], datasets)]
      : []),
    ...(datasets.length > 0 && tasks.length > 0 ? [''] : []),
    ...(tasks.length > 0 ? [textTable(['task', 'baseline', 'plan'], tasks)] : []),
    `${result.seconds.toFixed(1)} s on ${result.provider}`,
  ].join('\n');
}

export function renderApply(result: ApplyResult): string {
  const { out, files, activeExperts, experts, notes } = result;
  return [
    `${out}: ${files.length} files, ${bytes(result.bytes)}, as predicted`,
    ...(experts === undefined ? [] : [`Experts per MoE layer: ${experts.join(' ')}`]),
    `Active experts per MoE layer: ${activeExperts.join(' ')}`,
    ...notes,
  ].join('\n');
}
