import { moe } from '../jobs/moe';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { nonNegativeInteger, positiveInteger } from './optionValues';
import type { CommonOptions } from './session';
import { significant } from './table';

interface BlockOptions extends CommonOptions {
  readonly layer: number;
  readonly input: string;
  readonly out: string;
  readonly activeExperts?: number;
}

/** Adds `moe`: one MoE block on given inputs. */
export const moeCommand: CommandModule = (command, programDirectory) => {
  command
    .requiredOption('--layer <index>', 'decoder layer', nonNegativeInteger)
    .requiredOption('--input <file>', 'safetensors file with x [..., hidden]')
    .requiredOption('--out <file>', 'safetensors file to write y to')
    .option('--active-experts <k>', 'active experts per token', positiveInteger)
    .action((checkpoint: string, options: BlockOptions) =>
      runEngineCommand(
        options,
        programDirectory,
        (services, job) => moe({ checkpoint, ...options }, services, job),
        ({ layer, tokens, activeExperts, seconds }) =>
          `layer ${layer}: ${tokens} tokens, ${activeExperts} active experts, ${significant(seconds)} s`,
      ),
    );
};
