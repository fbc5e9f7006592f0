import { evaluate } from '../jobs/evaluate';
import { defaultWindowLength, evaluateParamsSchema, type EvaluateResult } from '../protocol/evaluation';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { activeExpertsList, parameters, positiveInteger } from './optionValues';
import type { CommonOptions } from './session';
import { percent, significant, textTable } from './table';

/** Adds `evaluate`: measured quality. */
export const evaluateCommand: CommandModule = (command, programDirectory) => {
  command
    .option('--plan <file>', 'plan to compare with the baseline')
    .option('--active-experts <list>', 'one number, or one per MoE layer separated by commas', activeExpertsList)
    .option('--text <files...>', 'texts: .txt, .jsonl with "text", or .json with named lists')
    .option('--tasks <files...>', 'tasks: .jsonl with task, prompt and answer')
    .option('--length <n>', 'tokens of a window', positiveInteger, defaultWindowLength)
    .option('--windows <n>', 'windows of each dataset', positiveInteger)
    .option('--per-document', 'every text is a window of its own')
    .action((checkpoint: string, options: CommonOptions) =>
      runEngineCommand(
        options,
        programDirectory,
        (services, job) => evaluate(parameters(evaluateParamsSchema, { checkpoint, ...options }), services, job),
        renderEvaluation,
      ),
    );
};

function renderEvaluation(result: EvaluateResult): string {
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
