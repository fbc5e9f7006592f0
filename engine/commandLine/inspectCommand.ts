import { inspect } from '../jobs/inspect';
import type { CheckpointSummary } from '../protocol/checkpointSummary';
import type { CommandModule } from './commandModule';
import { runCommand, type CommonOptions } from './session';
import { bytes, textTable } from './table';

/** Adds `inspect`: what the headers of a checkpoint say. It needs no runtime and no schemas, and loads none. */
export const inspectCommand: CommandModule = (command) => {
  command.action((checkpoint: string, options: CommonOptions) =>
    runCommand(options, () => inspect(checkpoint), renderSummary),
  );
};

function renderSummary(summary: CheckpointSummary): string {
  const rows = summary.layers.map(({ index, moe, experts, active, sharedExperts, expertBytes }) => [
    String(index),
    moe ? 'MoE' : 'dense',
    moe ? String(experts) : '–',
    moe ? String(active) : '–',
    moe ? String(sharedExperts) : '–',
    moe ? bytes(expertBytes) : '–',
  ]);
  return [
    `${summary.name}: ${summary.family} (${summary.modelType}), ${summary.dtype}, ${bytes(summary.bytes)}`,
    `${(summary.parameters / 1e6).toFixed(1)} M parameters, ${(summary.activeParameters / 1e6).toFixed(1)} M active per token; experts take ${bytes(summary.expertBytes)}`,
    `full forward: ${summary.forward.supported ? 'yes' : summary.forward.reason}`,
    '',
    textTable(['layer', 'kind', 'experts', 'active', 'shared', 'expert bytes'], rows),
    ...summary.warnings.map((warning) => `warning: ${warning}`),
  ].join('\n');
}
