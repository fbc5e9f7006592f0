import { bench } from '../jobs/bench';
import {
  benchParamsSchema,
  defaultBenchContext,
  defaultBenchRounds,
  defaultBenchTokens,
  type BenchResult,
} from '../protocol/bench';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { activeExpertsList, parameters, positiveInteger } from './optionValues';
import type { CommonOptions } from './session';
import { bytes, percent, significant, textTable } from './table';

/** Adds `bench`: measured speed of the exported model. */
export const benchCommand: CommandModule = (command, programDirectory) => {
  command
    .option('--plan <file>', 'plan to compare with the baseline')
    .option('--active-experts <list>', 'one number, or one per MoE layer separated by commas', activeExpertsList)
    .option('--batch <n>', 'sequences generated at once', positiveInteger, 1)
    .option('--context <tokens>', 'tokens of each prompt', positiveInteger, defaultBenchContext)
    .option('--tokens <n>', 'tokens generated after each prompt', positiveInteger, defaultBenchTokens)
    .option('--rounds <n>', 'measured rounds; medians count', positiveInteger, defaultBenchRounds)
    .action((checkpoint: string, options: CommonOptions) =>
      runEngineCommand(
        options,
        programDirectory,
        (services, job) => bench(parameters(benchParamsSchema, { checkpoint, ...options }), services, job),
        renderBench,
      ),
    );
};

function renderBench(result: BenchResult): string {
  const { layers, baseline, prediction } = result;
  const deepest = Math.max(...layers.map(({ microseconds }) => microseconds.length));
  const columns = Array.from({ length: deepest }, (_, at) => `k=${at + 1}`);
  const rows = layers.map(({ index, experts, active, form, microseconds }) => [
    String(index),
    form,
    String(experts),
    String(active),
    ...columns.map((_, at) => (microseconds[at] === undefined ? '–' : `${Math.round(microseconds[at])} µs`)),
  ]);
  const speed = (name: string, each: Omit<NonNullable<BenchResult['baseline']>, never>) =>
    `${name}: prefill ${significant(each.prefillTokensPerSecond)} tokens/s (${range(each.prefillRange)}), decode ${significant(each.decodeTokensPerSecond)} tokens/s (${range(each.decodeRange)}), ${bytes(each.peakBytes)} of memory`;
  return [
    textTable(['layer', 'experts are', 'experts', 'active', ...columns], rows),
    '',
    speed(baseline === undefined ? 'model' : 'plan', result),
    ...(baseline === undefined
      ? []
      : [
          speed('baseline', baseline),
          `plan against baseline: prefill ${significant(result.prefillRatio!)}×, decode ${significant(result.decodeRatio!)}×`,
        ]),
    ...(prediction === undefined
      ? []
      : [
          `decode step: ${significant(prediction.decodeMilliseconds)} ms predicted from the layers, ${significant(prediction.measuredMilliseconds)} ms measured (${percent(prediction.relativeError)} off)`,
        ]),
    `${result.provider}, batch ${result.batch}, prompts of ${result.context} tokens, ${result.tokens} generated, ${result.rounds} rounds`,
    ...result.notes,
  ].join('\n');
}

function range([slowest, fastest]: readonly [number, number]): string {
  return `${significant(slowest)} to ${significant(fastest)}`;
}
