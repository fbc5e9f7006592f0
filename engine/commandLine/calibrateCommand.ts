import { calibrate } from '../jobs/calibrate';
import { calibrateParamsSchema, defaultCalibrationSample, type CalibrateResult } from '../protocol/calibration';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { nonNegativeInteger, parameters, positiveInteger } from './optionValues';
import type { CommonOptions } from './session';
import { bytes, significant, textTable } from './table';

/** `calibrate`: one pass of text through the model, written to a statistics file. */
export const calibrateCommand: CommandModule = (command, programDirectory) => {
  command
    .option(
      '--text <files...>',
      'texts: .txt, .jsonl with "text" and perhaps "task" or "domain", or .json with named lists',
    )
    .requiredOption('--out <file>', 'statistics file to write')
    .option('--length <n>', 'tokens of a window (default: 512, or what the model allows)', positiveInteger)
    .option('--windows <n>', 'windows of each dataset, or of each task or domain in it', positiveInteger)
    .option('--per-document', 'every text is a window of its own')
    .option('--tokens <n>', 'most tokens altogether, spread evenly over the texts', positiveInteger)
    .option('--sample <n>', 'tokens whose block inputs are kept', positiveInteger, defaultCalibrationSample)
    .option('--no-dense', 'do not run all experts on the sample (merging methods need it)')
    .option(
      '--no-task-pairs',
      'keep sums over pairs of experts for all texts together only (omp and hope with --task need them)',
    )
    .option('--trace', 'also write which experts every token chose')
    .option('--seed <n>', 'seed of the sample', nonNegativeInteger, 0)
    .action((checkpoint: string, options: CommonOptions) =>
      runEngineCommand(
        options,
        programDirectory,
        (services, job) => calibrate(parameters(calibrateParamsSchema, { checkpoint, ...options }), services, job),
        renderCalibration,
      ),
    );
};

function renderCalibration(result: CalibrateResult): string {
  const rows = result.layers.map(({ index, experts, counts, coverage }) => [
    String(index),
    String(experts),
    String(coverage.leastTokens),
    String(coverage.medianTokens),
    String(Math.max(...counts)),
    String(coverage.neverChosen.length),
    String(coverage.belowShare.length),
    String(coverage.belowTokens.length),
  ]);
  const first = result.layers[0]!.coverage;
  return [
    textTable(['layer', 'experts', 'fewest tokens', 'median', 'most', 'never chosen', '< 0.5 %', 'few for fits'], rows),
    '',
    `${result.tokens} tokens: ${result.tags.map(({ name, tokens }) => `${name} ${tokens}`).join(', ')}`,
    `Thresholds: ${significant(first.shareThreshold)} tokens (0.5 %), ${significant(first.tokenThreshold)} tokens to fit weights.`,
    ...result.notes,
    `${result.file} (${bytes(result.bytes)})${result.trace === undefined ? '' : `, ${result.trace}`}: ${significant(result.seconds)} s on ${result.provider}`,
  ].join('\n');
}
