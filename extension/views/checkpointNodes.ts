import { formatBytes, formatCount, formatPercent, formatPerplexity } from '../common/format';
import { localize } from '../common/localize';
import type { CheckpointEntry } from '../config/checkpointStore';
import { evaluationTitle, sensitivityLine } from '../config/resultText';
import { isProfileStale, isResultStale } from '../config/staleness';

/** What a node of the tree stands for; menus refer to it. */
export type NodeKind = 'checkpoint' | 'fact' | 'layers' | 'layer' | 'results' | 'result' | 'problem';

/** A node of the checkpoint tree, as plain data. */
export interface CheckpointNode {
  readonly kind: NodeKind;
  /** Stable over refreshes, so that expanded nodes stay expanded. */
  readonly id: string;
  readonly folder: string;
  readonly label: string;
  readonly description?: string;
  readonly icon?: string;
  readonly children: readonly CheckpointNode[];
}

export function isCheckpointNode(value: unknown): value is CheckpointNode {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Partial<CheckpointNode>).folder === 'string' &&
    typeof (value as Partial<CheckpointNode>).kind === 'string'
  );
}

function node(
  entry: CheckpointEntry,
  kind: NodeKind,
  label: string,
  rest: { description?: string; icon?: string; children?: readonly CheckpointNode[] } = {},
): CheckpointNode {
  return { kind, id: `${entry.folder}|${kind}|${label}`, folder: entry.folder, label, children: [], ...rest };
}

function factNodes(entry: CheckpointEntry): CheckpointNode[] {
  const { summary } = entry;
  if (summary === undefined) {
    return [];
  }
  const facts: readonly [label: string, description: string, icon: string][] = [
    [localize('Family'), summary.family, 'type-hierarchy'],
    [
      localize('Experts'),
      localize('{active} of {experts} active', { active: summary.activeExperts, experts: summary.experts }),
      'circuit-board',
    ],
    [
      localize('Parameters'),
      localize('{all}, {active} active', {
        all: formatCount(summary.parameters),
        active: formatCount(summary.activeParameters),
      }),
      'symbol-numeric',
    ],
    [
      localize('Size'),
      localize('{all} as {dtype}, {experts} of it experts', {
        all: formatBytes(summary.bytes),
        dtype: summary.dtype,
        experts: formatBytes(summary.expertBytes),
      }),
      'database',
    ],
  ];
  return facts.map(([label, description, icon]) => node(entry, 'fact', label, { description, icon }));
}

function layerNodes(entry: CheckpointEntry): CheckpointNode[] {
  const { summary, budget } = entry;
  if (summary === undefined) {
    return [];
  }
  const current = budget !== undefined && !isResultStale(budget, summary) ? budget : undefined;
  const children = summary.layers.map((layer) => {
    const label = localize('Layer {index}', { index: layer.index });
    const chosen = current?.activeExperts[current.layers.indexOf(layer.index)];
    const active = chosen === undefined ? `${layer.active}` : `${chosen} (${layer.active})`;
    const values = { active, experts: layer.experts };
    const description = layer.moe ? localize('{active} of {experts} experts active', values) : localize('dense');
    return node(entry, 'layer', label, { description, icon: layer.moe ? 'layers' : 'dash' });
  });
  return [
    node(entry, 'layers', localize('Layers'), {
      description: String(summary.layers.length),
      icon: 'layers',
      children,
    }),
  ];
}

function resultNodes(entry: CheckpointEntry): CheckpointNode[] {
  const { summary, profile, budget, evaluations } = entry;
  const stale = (isStale: boolean, text: string): string => (isStale ? localize('{text} · stale', { text }) : text);
  const children: CheckpointNode[] = [];
  if (profile !== undefined) {
    const description = stale(isProfileStale(profile, summary), sensitivityLine(profile));
    children.push(node(entry, 'result', localize('Sensitivity'), { description, icon: 'pulse' }));
  }
  if (budget !== undefined) {
    const text = localize('{total} active experts, {objective}', { total: budget.total, objective: budget.objective });
    const description = stale(isResultStale(budget, summary), text);
    children.push(node(entry, 'result', localize('Budgets'), { description, icon: 'settings' }));
  }
  const newest = evaluations.at(-1);
  if (newest !== undefined) {
    const quality = [
      newest.geometricMeanPerplexity === undefined
        ? ''
        : localize('perplexity {value}', { value: formatPerplexity(newest.geometricMeanPerplexity) }),
      newest.meanAccuracy === undefined
        ? ''
        : localize('accuracy {value}', { value: formatPercent(newest.meanAccuracy) }),
    ].filter((part) => part !== '');
    const text = `${evaluationTitle(newest)}: ${quality.join(', ')}`;
    const description = stale(isResultStale(newest, summary), text);
    children.push(node(entry, 'result', localize('Evaluation'), { description, icon: 'graph' }));
  }
  return children.length === 0
    ? []
    : [node(entry, 'results', localize('Latest results'), { icon: 'history', children })];
}

/** The tree of one checkpoint: its facts, layers and latest results. */
export function checkpointNode(entry: CheckpointEntry): CheckpointNode {
  const problems =
    entry.error === undefined
      ? []
      : [node(entry, 'problem', entry.error.message, { icon: 'warning', ...optional(entry.error.details.wayOut) })];
  const children = [...problems, ...factNodes(entry), ...layerNodes(entry), ...resultNodes(entry)];
  const { summary } = entry;
  const description =
    summary === undefined
      ? entry.state === 'inspecting'
        ? localize('reading…')
        : ''
      : localize('{active} of {experts} active', { active: summary.activeExperts, experts: summary.experts });
  return node(entry, 'checkpoint', entry.label, { description, icon: 'package', children });
}

function optional(description: string | undefined): { description?: string } {
  return description === undefined ? {} : { description };
}
