import { Option } from 'commander';
import { prune } from '../jobs/prune';
import {
  defaultPruneCalibrationTokens,
  defaultPruneEvaluations,
  pruneCorrectionNames,
  pruneMethodNames,
  pruneParamsSchema,
  pruneReplacementNames,
} from '../protocol/pruning';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { nonNegativeInteger, parameters, positiveInteger, share } from './optionValues';
import { renderPrune } from './renderPrune';
import type { CommonOptions } from './session';

/** `moe-tuner prune`: which experts stay, by one method or by measuring all of them. */
export const pruneCommand: CommandModule = (command, programDirectory) => {
  command
    .addOption(new Option('--method <name>', 'how experts are ranked').choices([...pruneMethodNames]).default('auto'))
    .requiredOption('--ratio <share>', 'share of the experts that goes, for example 0.25', share)
    .option('--text <files...>', 'calibration text; .jsonl lines may carry a "task" or "domain"')
    .option('--stats <file>', 'statistics that calibrate wrote, instead of a new calibration')
    .option('--task <names...>', 'tasks or domains of the calibration to rank by')
    .option('--retrieve <files...>', 'text whose nearest stored task is ranked by')
    .option('--base <checkpoint>', 'checkpoint before fine-tuning, for router-change')
    .option('--ragged', 'layers may keep different numbers of experts, with the same total')
    .addOption(
      new Option('--correction <name>', 'of gates that grow when experts go; auto measures both').choices([
        ...pruneCorrectionNames,
      ]),
    )
    .addOption(
      new Option(
        '--replacement <name>',
        'what the router gets from experts that go: none (their rows go too), zero, or constant (their mean output, MoNE)',
      )
        .choices([...pruneReplacementNames])
        .default('none'),
    )
    .option('--prune-super-experts', 'let experts with extreme activations go too')
    .option('--length <n>', 'tokens of a calibration window', positiveInteger)
    .option('--windows <n>', 'calibration windows of each dataset or task', positiveInteger)
    .option(
      '--tokens <n>',
      'tokens to calibrate on, from all datasets alike (default: 65536, or all with --windows)',
      positiveInteger,
    )
    .option('--per-document', 'every text is a window of its own')
    .option('--calibration-tokens <n>', 'tokens that auto measures on', positiveInteger, defaultPruneCalibrationTokens)
    .option('--evaluations <n>', 'measurements that auto may make', positiveInteger, defaultPruneEvaluations)
    .option('--seed <n>', 'seed of samples, controls and searches', nonNegativeInteger, 0)
    .option('--out <file>', 'plan file to create or update')
    .action((checkpoint: string, options: CommonOptions) =>
      runEngineCommand(
        options,
        programDirectory,
        (services, job) => prune(parameters(pruneParamsSchema, { checkpoint, ...options }), services, job),
        renderPrune,
      ),
    );
};
