import { Option } from 'commander';
import { budget } from '../jobs/budget';
import {
  budgetParamsSchema,
  costNames,
  defaultCalibrationTokens,
  defaultSearchEvaluations,
  gateCorrections,
  objectiveNames,
  solverNames,
  type BudgetResult,
} from '../protocol/budget';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { layerList, nonNegativeInteger, parameters, positiveInteger, positiveNumber } from './optionValues';
import type { CommonOptions } from './session';
import { percent, significant, textTable } from './table';

/** Adds `budget`: active experts of every layer. */
export const budgetCommand: CommandModule = (command, programDirectory) => {
  command
    .option('--average <k>', 'average active experts per MoE layer', positiveNumber)
    .option('--total <n>', 'active experts summed over the MoE layers', positiveInteger)
    .option('--front', 'show every total')
    .addOption(new Option('--objective <name>', 'what is minimised').choices([...objectiveNames]).default('auto'))
    .addOption(new Option('--solver <name>', 'how it is minimised').choices([...solverNames]).default('exact'))
    .option('--text <files...>', 'calibration text for objectives that measure the whole model')
    .option('--tasks <files...>', 'task items for the same, scored on their answers')
    .option('--calibration-tokens <n>', 'tokens to measure on', positiveInteger, defaultCalibrationTokens)
    .option('--length <n>', 'tokens of a calibration window', positiveInteger)
    .option('--evaluations <n>', 'measurements that auto may make', positiveInteger, defaultSearchEvaluations)
    .addOption(
      new Option('--cost <name>', 'what the budget is counted in').choices([...costNames]).default('active-experts'),
    )
    .option('--limit <n>', 'largest total cost, for other costs than active experts', positiveNumber)
    .option('--batch <tokens>', 'tokens processed at once, for bytes and microseconds', positiveInteger, 1)
    .option('--minimum-active <k>', 'fewest active experts of any layer', positiveInteger, 1)
    .option('--maximum-active <k>', 'most active experts of any layer', positiveInteger)
    .option('--pinned <layers>', 'decoder layers that keep their active experts, separated by commas', layerList)
    .addOption(
      new Option(
        '--gates <correction>',
        'make up for missing experts in the gates (default: auto measures on running text whether "scale" helps, others "none")',
      ).choices([...gateCorrections]),
    )
    .option('--samples <n>', 'probe tokens per layer', positiveInteger)
    .option('--seed <n>', 'seed of probes and searches', nonNegativeInteger, 0)
    .option('--out <file>', 'plan file to create or update')
    .action((checkpoint: string, options: CommonOptions & { front?: boolean }) =>
      runEngineCommand(
        options,
        programDirectory,
        (services, job) => budget(parameters(budgetParamsSchema, { checkpoint, ...options }), services, job),
        (result) => renderBudget(result, options.front === true),
      ),
    );
};

function renderBudget(result: BudgetResult, showFront: boolean): string {
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
