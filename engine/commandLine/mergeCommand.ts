import { Option } from 'commander';
import { merge } from '../jobs/merge';
import {
  defaultMergeSample,
  mergeAlignmentNames,
  mergeMethodNames,
  mergeParamsSchema,
  mergeRefitNames,
  mergeRouterNames,
  type MergeResult,
} from '../protocol/merging';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { nonNegativeInteger, nonNegativeNumber, parameters, positiveInteger, positiveNumber } from './optionValues';
import type { CommonOptions } from './session';
import { bytes, textTable } from './table';

/** Adds `merge`: which experts become one. */
export const mergeCommand: CommandModule = (command, programDirectory) => {
  command
    .addOption(
      new Option('--method <name>', 'how groups are chosen').choices([...mergeMethodNames]).default('mergemoe'),
    )
    .requiredOption('--ratio <r>', 'share of the experts of every layer that goes', nonNegativeNumber)
    .option('--text <files...>', 'calibration text')
    .option('--stats <file>', 'statistics that calibrate wrote')
    .addOption(
      new Option('--alignment <name>', 'how channels are matched (default: as the method does)').choices([
        ...mergeAlignmentNames,
      ]),
    )
    .addOption(
      new Option('--router <name>', 'router rows that stay: the first of a group, their mean, or all').choices([
        ...mergeRouterNames,
      ]),
    )
    .addOption(
      new Option('--refit <name>', 'what the down projection is fitted to (default: as the method does)').choices([
        ...mergeRefitNames,
      ]),
    )
    .option('--ridge <x>', 'strength that holds the refit back (default: chosen on held-out tokens)', positiveNumber)
    .option('--rank <share>', 'low-rank matrices with this share of the parameters (MC-SMoE)', positiveNumber)
    .option('--sparse <share>', 'share of the rows that low rank leaves as they are', nonNegativeNumber)
    .option(
      '--ragged',
      'different numbers per layer with the same total: by use for m-smoe, by predicted damage for the others',
    )
    .option('--no-compare', 'do not measure the plan against pruning and other refits')
    .option('--merge-super-experts', 'merge experts with extreme activations too')
    .option('--length <n>', 'tokens of a calibration window', positiveInteger)
    .option('--windows <n>', 'calibration windows of each dataset', positiveInteger)
    .option(
      '--tokens <n>',
      'tokens to calibrate on, from all datasets alike (default: 65536, or all with --windows)',
      positiveInteger,
    )
    .option('--per-document', 'every text is a window of its own')
    .option('--sample <n>', 'tokens on which experts are compared and fitted', positiveInteger, defaultMergeSample)
    .option('--seed <n>', 'seed', nonNegativeInteger, 0)
    .option('--out <file>', 'plan file to create or update')
    .action((checkpoint: string, options: CommonOptions) =>
      runEngineCommand(
        options,
        programDirectory,
        (services, job) => merge(parameters(mergeParamsSchema, { checkpoint, ...options }), services, job),
        renderMerge,
      ),
    );
};

function renderMerge(result: MergeResult): string {
  const rows = result.layers.map(({ index, groups }) => [
    String(index),
    String(groups.flat().length),
    String(groups.length),
    groups
      .filter(({ length }) => length > 1)
      .map((group) => group.join('+'))
      .join(' '),
  ]);
  return [
    textTable(['layer', 'experts', 'left', 'merged'], rows),
    '',
    ...comparisonTable(result),
    `${result.method}: ${result.experts} → ${result.kept} experts, ${bytes(result.expertBytes)} → ${bytes(result.keptExpertBytes)}`,
    ...result.notes.map((note) => `note: ${note}`),
    ...(result.plan === undefined ? [] : [`Plan: ${result.plan}`]),
  ].join('\n');
}

/** Models of the same size, nearest to the model as trained first. */
function comparisonTable({ comparison }: MergeResult): string[] {
  if (comparison === undefined) {
    return [];
  }
  const rows = comparison.map(({ name, measured: { kl, logPerplexity, accuracy } }) => [
    name,
    kl.toPrecision(4),
    Math.exp(logPerplexity).toPrecision(4),
    `${(100 * accuracy).toFixed(1)} %`,
  ]);
  return [textTable(['of the same size', 'KL', 'perplexity', 'accuracy'], rows), ''];
}
