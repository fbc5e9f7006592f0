import type { EvaluateResult } from '../../engine/protocol/evaluation';
import type { LayerSensitivity, ProfileResult } from '../../engine/protocol/sensitivity';
import { formatNumber, formatPercent, formatPerplexity } from '../common/format';
import { localize } from '../common/localize';

/** The last segment of a path in either notation. */
export function fileName(path: string): string {
  return path.split(/[\\/]/).at(-1) ?? path;
}

/** The number of active experts at which a profile is summed up in one line: half of what the model uses. */
function summaryCount(profile: ProfileResult): number {
  return Math.max(1, Math.floor(profile.activeExperts / 2));
}

function relativeErrorAt(layer: LayerSensitivity, active: number): number {
  return layer.relativeSquared[active - 1] ?? 0;
}

/** One line on the active-expert count: which layer minds fewer experts most and least, and how sure that is. */
export function sensitivityLine(profile: ProfileResult): string {
  const active = summaryCount(profile);
  const byError = [...profile.layers].sort(
    (one, other) => relativeErrorAt(one, active) - relativeErrorAt(other, active),
  );
  const least = byError[0];
  const most = byError.at(-1);
  if (least === undefined || most === undefined || profile.activeExperts < 2) {
    return localize('Sensitivity: nothing to reduce');
  }
  return localize(
    'Sensitivity at {active} of {all}: layer {most} changes most ({mostError}), layer {least} least ({leastError}) · CoV {variation}',
    {
      active,
      all: profile.activeExperts,
      most: most.index,
      mostError: formatPercent(relativeErrorAt(most, active)),
      least: least.index,
      leastError: formatPercent(relativeErrorAt(least, active)),
      variation: formatPercent(profile.coefficientOfVariation),
    },
  );
}

function qualityText(perplexity: number | undefined, accuracy: number | undefined): string {
  const parts = [
    perplexity === undefined ? '' : localize('perplexity {value}', { value: formatPerplexity(perplexity) }),
    accuracy === undefined ? '' : localize('accuracy {value}', { value: formatPercent(accuracy) }),
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** What an evaluation changed, for people: the plan's file name or the active-expert counts. */
export function evaluationTitle(evaluation: EvaluateResult): string {
  if (evaluation.baseline) {
    return localize('Baseline');
  }
  if (evaluation.plan !== undefined) {
    return fileName(evaluation.plan);
  }
  const counts = new Set(evaluation.activeExperts);
  const shown = counts.size === 1 ? String([...counts][0]) : evaluation.activeExperts.join(', ');
  return localize('{counts} active experts', { counts: shown });
}

/** One line with the newest evaluation and the baseline it was measured against. */
export function evaluationLine(evaluations: readonly EvaluateResult[]): string | undefined {
  const newest = evaluations.at(-1);
  if (newest === undefined) {
    return undefined;
  }
  const own = `${evaluationTitle(newest)}: ${qualityText(newest.geometricMeanPerplexity, newest.meanAccuracy)}`;
  if (newest.baseline) {
    return own;
  }
  const baseline = qualityText(newest.baselineGeometricMeanPerplexity, newest.baselineMeanAccuracy);
  return baseline === '' ? own : `${own} · ${localize('Baseline')}: ${baseline}`;
}

/** One row of a Markdown table. */
export function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/** Markdown table layers × k of the sensitivity, with how it was measured. */
export function sensitivityMarkdown(profile: ProfileResult): string {
  const counts = Array.from({ length: profile.activeExperts }, (_, position) => position + 1);
  const header = [localize('Layer'), ...counts.map((active) => `k=${active}`), localize('CoV')];
  const rows = profile.layers.map((layer) =>
    tableRow([
      String(layer.index),
      ...layer.relativeSquared.map((error) => formatPercent(error)),
      formatPercent(layer.coefficientOfVariation),
    ]),
  );
  return [
    localize('**Sensitivity to fewer active experts** (relative squared error of the MoE output)'),
    '',
    localize('{input} input, {samples} tokens per layer, seed {seed}, {provider}, {seconds} s', {
      input: profile.input,
      samples: profile.samples,
      seed: profile.seed,
      provider: profile.provider,
      seconds: formatNumber(profile.seconds),
    }),
    '',
    tableRow(header),
    tableRow(header.map(() => '--:')),
    ...rows,
  ].join('\n');
}

/** Markdown table of evaluations, newest first. */
export function evaluationMarkdown(evaluations: readonly EvaluateResult[]): string {
  const header = [localize('Evaluated'), localize('Perplexity'), 'KL', localize('Top-1'), localize('Accuracy')];
  const rows = [...evaluations].reverse().flatMap((evaluation) => {
    const title = evaluationTitle(evaluation);
    const datasets = Object.entries(evaluation.datasets).map(([name, dataset]) =>
      tableRow([
        `${title}, ${name}`,
        formatPerplexity(dataset.perplexity),
        dataset.kl === undefined ? '' : formatNumber(dataset.kl),
        dataset.top1Agreement === undefined ? '' : formatPercent(dataset.top1Agreement),
        '',
      ]),
    );
    const { meanAccuracy } = evaluation;
    const tasks = Object.keys(evaluation.tasks).length;
    const accuracy =
      meanAccuracy === undefined
        ? []
        : [tableRow([localize('{title}, {tasks} tasks', { title, tasks }), '', '', '', formatPercent(meanAccuracy)])];
    return [...datasets, ...accuracy];
  });
  return [
    localize('**Evaluations**'),
    '',
    tableRow(header),
    tableRow(['---', ...header.slice(1).map(() => '--:')]),
    ...rows,
  ].join('\n');
}
