import { forward } from '../jobs/forward';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { activeExpertsList } from './optionValues';
import type { CommonOptions } from './session';
import { significant } from './table';

interface ForwardOptions extends CommonOptions {
  readonly ids: string;
  readonly out: string;
  readonly plan?: string;
  readonly activeExperts?: number | number[];
  readonly moeIo?: boolean;
}

/** Adds `forward`: logits of given tokens. */
export const forwardCommand: CommandModule = (command, programDirectory) => {
  command
    .requiredOption('--ids <file>', 'JSON file with [[id, …], …]')
    .requiredOption('--out <file>', 'safetensors file to write')
    .option('--plan <file>', 'plan whose decisions are applied')
    .option('--active-experts <list>', 'one number, or one per MoE layer separated by commas', activeExpertsList)
    .option('--moe-io', 'also write inputs and outputs of every MoE block')
    .action((checkpoint: string, options: ForwardOptions) =>
      runEngineCommand(
        options,
        programDirectory,
        (services, job) => forward({ checkpoint, ...options, moeIo: options.moeIo ?? false }, services, job),
        ({ tokens, seconds, provider }) => `${tokens} tokens in ${significant(seconds)} s on ${provider}`,
      ),
    );
};
