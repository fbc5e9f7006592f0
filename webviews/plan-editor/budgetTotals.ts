import type { LossTable } from '../../engine/protocol/planEditor';
import { text } from '../strings';
import {
  formatBytes,
  formatCount,
  formatDecimals,
  formatInteger,
  formatMeasured,
  formatShare,
} from '../ui-kit/numbers';
import type { Explanation } from './explanation';
import type { ExplanationPanel } from './explanationPanel';
import { createFactTiles } from './factTiles';
import { lossAt } from './layerState';
import type { LayerState } from './layerState';
import { tableSource, tableUnit } from './lossTableText';

/** What a plan costs and is predicted to lose, summed over its layers. */
export interface BudgetTotals {
  readonly layers: number;
  readonly total: number;
  readonly trainedTotal: number;
  readonly average: number;
  readonly trainedAverage: number;
  /** Operations of the routed experts per token, and the same as trained; undefined where their size is unknown. */
  readonly operations: { readonly now: number; readonly trained: number } | undefined;
  /** Bytes of expert weights that one token reads. */
  readonly bytes: { readonly now: number; readonly trained: number } | undefined;
  /** Sum of the table at these numbers; undefined where a layer has no prediction. */
  readonly predicted: number | undefined;
}

function sumOf(layers: readonly LayerState[], value: (layer: LayerState) => number | undefined): number | undefined {
  return layers.reduce<number | undefined>((sum, layer) => {
    const each = value(layer);
    return sum === undefined || each === undefined ? undefined : sum + each;
  }, 0);
}

/** 2 operations for each weight of an active expert. */
const operationsPerWeight = 2;

/** The sums under the bars. */
export function totalsOf(layers: readonly LayerState[], table: LossTable | undefined): BudgetTotals {
  const total = sumOf(layers, ({ active }) => active) ?? 0;
  const trainedTotal = sumOf(layers, ({ trained }) => trained) ?? 0;
  const pair = (
    size: (layer: LayerState) => number | undefined,
  ): { readonly now: number; readonly trained: number } | undefined => {
    const weighed = (count: (layer: LayerState) => number): number | undefined =>
      sumOf(layers, (layer) => {
        const each = size(layer);
        return each === undefined ? undefined : each * count(layer);
      });
    const now = weighed(({ active }) => active);
    const trained = weighed((layer) => layer.trained);
    return now === undefined || trained === undefined ? undefined : { now, trained };
  };
  const count = Math.max(1, layers.length);
  return {
    layers: layers.length,
    total,
    trainedTotal,
    average: total / count,
    trainedAverage: trainedTotal / count,
    operations: pair(({ expertParameters }) =>
      expertParameters === undefined ? undefined : operationsPerWeight * expertParameters,
    ),
    bytes: pair(({ expertBytes }) => expertBytes),
    predicted:
      table === undefined
        ? undefined
        : sumOf(layers, ({ position, active, trained }) =>
            active >= trained ? (lossAt(table, position, trained) ?? 0) : lossAt(table, position, active),
          ),
  };
}

type TotalName = 'average' | 'operations' | 'bytes' | 'predicted';

function share({ now, trained }: { readonly now: number; readonly trained: number }): string {
  return formatShare(trained === 0 ? 0 : now / trained);
}

function valueOf(name: TotalName, totals: BudgetTotals): string | undefined {
  const { operations, bytes, predicted } = totals;
  switch (name) {
    case 'average':
      return text('planTotalAverageValue', {
        average: formatDecimals(totals.average, 2),
        trained: formatDecimals(totals.trainedAverage, 2),
      });
    case 'operations':
      return operations && text('planTotalOfTrained', { value: formatCount(operations.now), share: share(operations) });
    case 'bytes':
      return bytes && text('planTotalOfTrained', { value: formatBytes(bytes.now), share: share(bytes) });
    case 'predicted':
      return predicted === undefined ? undefined : formatMeasured(predicted);
  }
}

/** How a total came about. */
export function explainTotal(
  name: TotalName,
  totals: BudgetTotals,
  table: LossTable | undefined,
): Explanation | undefined {
  const { operations, bytes, predicted } = totals;
  const integers = { total: formatInteger(totals.total), layers: formatInteger(totals.layers) };
  switch (name) {
    case 'average':
      return {
        title: text('planTotalAverage'),
        rule: text('planRuleAverage'),
        number: text('planNumberAverage', { ...integers, average: formatDecimals(totals.average, 4) }),
        source: text('planSourceDocument'),
      };
    case 'operations':
      return (
        operations && {
          title: text('planTotalOperations'),
          rule: text('planRuleOperations'),
          number: text('planNumberPair', {
            now: formatInteger(operations.now),
            trained: formatInteger(operations.trained),
            share: share(operations),
          }),
          source: text('planSourceHeaders'),
        }
      );
    case 'bytes':
      return (
        bytes && {
          title: text('planTotalBytes'),
          rule: text('planRuleBytes'),
          number: text('planNumberPair', {
            now: formatInteger(bytes.now),
            trained: formatInteger(bytes.trained),
            share: share(bytes),
          }),
          source: text('planSourceHeaders'),
        }
      );
    case 'predicted':
      return predicted === undefined || table === undefined
        ? undefined
        : {
            title: text('planTotalPredicted'),
            rule: text('planRulePredicted', { unit: tableUnit(table) }),
            number: text('planNumberPredicted', { value: formatMeasured(predicted, 6), layers: integers.layers }),
            source: tableSource(table),
          };
  }
}

const totalNames = ['average', 'operations', 'bytes', 'predicted'] as const;
const totalTitles = {
  average: 'planTotalAverage',
  operations: 'planTotalOperations',
  bytes: 'planTotalBytes',
  predicted: 'planTotalPredicted',
} as const;

/** The totals as a row of numbers. */
export interface TotalsRow {
  readonly root: HTMLElement;
  update(totals: BudgetTotals, table: LossTable | undefined): void;
}

export function createTotalsRow(explanation: ExplanationPanel): TotalsRow {
  const titles = totalNames.map((name) => text(totalTitles[name]));
  const tiles = createFactTiles(explanation, text('planTotals'), titles);
  return {
    root: tiles.root,
    update: (totals, table) => {
      tiles.update(
        totalNames.map((name) => {
          const value = valueOf(name, totals);
          return value === undefined ? undefined : { value, explain: () => explainTotal(name, totals, table) };
        }),
      );
    },
  };
}
