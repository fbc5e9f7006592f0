import { Option } from 'commander';
import { apply } from '../jobs/apply';
import { applyParamsSchema, ggufBlockNames, targetNames, type ApplyResult } from '../protocol/apply';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { parameters } from './optionValues';
import type { CommonOptions } from './session';
import { bytes } from './table';

/** Adds `apply`: files of what a plan decides. */
export const applyCommand: CommandModule = (command, programDirectory) => {
  command
    .requiredOption('--plan <file>', 'plan to apply')
    .addOption(new Option('--target <name>', 'runtime that loads it').choices([...targetNames]).makeOptionMandatory())
    .requiredOption('--out <folder>', 'folder to create')
    .addOption(
      new Option(
        '--gguf-blocks <name>',
        'with llama.cpp: the codes of the plan as they are, or k-quants of about as many bits (default: codes)',
      ).choices([...ggufBlockNames]),
    )
    .action((checkpoint: string, options: CommonOptions) =>
      runEngineCommand(
        options,
        programDirectory,
        (_, job) => apply(parameters(applyParamsSchema, { checkpoint, ...options }), job),
        renderApply,
      ),
    );
};

function renderApply(result: ApplyResult): string {
  const { out, files, activeExperts, experts, notes } = result;
  return [
    `${out}: ${files.length} files, ${bytes(result.bytes)}, as predicted`,
    ...(experts === undefined ? [] : [`Experts per MoE layer: ${experts.join(' ')}`]),
    `Active experts per MoE layer: ${activeExperts.join(' ')}`,
    ...notes,
  ].join('\n');
}
