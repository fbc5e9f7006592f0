import { generate } from '../jobs/generate';
import { readPromptIds } from '../jobs/tensorInput';
import { defaultGeneratedTokens, generateParamsSchema, type GenerateResult } from '../protocol/generation';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { activeExpertsList, nonNegativeInteger, nonNegativeNumber, parameters, positiveInteger } from './optionValues';
import type { CommonOptions } from './session';
import { percent, significant } from './table';

interface GenerateOptions extends CommonOptions {
  readonly ids?: string;
}

/** Adds `generate`: text of the model and of a plan side by side. */
export const generateCommand: CommandModule = (command, programDirectory) => {
  command
    .option('--prompt <text>', 'text to go on from')
    .option('--ids <file>', 'JSON file with [id, …] to go on from, in place of a text')
    .option('--plan <file>', 'plan to compare with the baseline')
    .option('--active-experts <list>', 'one number, or one per MoE layer separated by commas', activeExpertsList)
    .option('--tokens <n>', 'most tokens to generate', positiveInteger, defaultGeneratedTokens)
    .option('--temperature <t>', '0 always takes the most likely token', nonNegativeNumber, 0)
    .option('--seed <n>', 'seed of the random choice', nonNegativeInteger, 0)
    .action((checkpoint: string, { ids, ...options }: GenerateOptions) =>
      runEngineCommand(
        options,
        programDirectory,
        async (services, job) => {
          const prompt = ids === undefined ? {} : { ids: await readPromptIds(ids) };
          return generate(parameters(generateParamsSchema, { checkpoint, ...options, ...prompt }), services, job);
        },
        renderGeneration,
      ),
    );
};

function renderGeneration({ variants, prompt, agreement, notes, seconds }: GenerateResult): string {
  const readable = prompt.some(({ text }) => text !== '');
  const lines = variants.flatMap(({ name, tokens, text, ended }) => [
    `${name} (${tokens.length} tokens, ${ended}):`,
    readable ? text : tokens.map(({ id }) => id).join(' '),
    '',
  ]);
  const different = agreement?.firstDifference;
  return [
    ...lines,
    ...(agreement === undefined
      ? []
      : [
          different === undefined
            ? 'Both models wrote the same tokens.'
            : `${percent(agreement.share)} of the positions have the same token; the first other one is token ${different + 1}.`,
        ]),
    `${significant(seconds)} s`,
    ...notes,
  ].join('\n');
}
