import { Option } from 'commander';
import { profile } from '../jobs/profile';
import { defaultProfileSamples, profileInputs, profileParamsSchema, type ProfileResult } from '../protocol/sensitivity';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { nonNegativeInteger, parameters, positiveInteger } from './optionValues';
import type { CommonOptions } from './session';
import { percent, textTable } from './table';

/** Adds `profile`: sensitivity of every MoE layer to fewer active experts. */
export const profileCommand: CommandModule = (command, programDirectory) => {
  command
    .addOption(new Option('--input <kind>', 'probe inputs').choices([...profileInputs]).default('gaussian'))
    .option('--text <files...>', 'text for calibration inputs')
    .option('--length <n>', 'tokens of a calibration window', positiveInteger)
    .option('--samples <n>', 'probe tokens per layer', positiveInteger, defaultProfileSamples)
    .option('--seed <n>', 'seed of the probe inputs', nonNegativeInteger, 0)
    .action((checkpoint: string, options: CommonOptions) =>
      runEngineCommand(
        options,
        programDirectory,
        (services, job) => profile(parameters(profileParamsSchema, { checkpoint, ...options }), services, job),
        renderProfile,
      ),
    );
};

function renderProfile(result: ProfileResult): string {
  const most = Math.max(...result.layers.map(({ raw }) => raw.length));
  const header = ['layer', ...Array.from({ length: most }, (_, at) => `k=${at + 1}`), '‖Y‖'];
  const rows = result.layers.map(({ index, raw, outputNorm }) => [
    String(index),
    ...Array.from({ length: most }, (_, at) => (raw[at] === undefined ? '–' : raw[at].toFixed(4))),
    outputNorm.toFixed(4),
  ]);
  return [
    'Sensitivity: ‖Y_k − Y_k0‖_F / √tokens per MoE layer',
    textTable(header, rows),
    `${result.samples} samples a layer, coefficient of variation ${percent(result.coefficientOfVariation)}, ${result.seconds.toFixed(1)} s on ${result.provider}${result.resumedLayers > 0 ? `, ${result.resumedLayers} layers from the cache` : ''}`,
  ].join('\n');
}
