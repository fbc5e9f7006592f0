import { doctor } from '../jobs/doctor';
import type { DoctorResult } from '../protocol/doctor';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import type { CommonOptions } from './session';
import { textTable } from './table';

/** Adds `doctor`: what can compute here, and why. */
export const doctorCommand: CommandModule = (command, programDirectory) => {
  command.action((options: CommonOptions) => runEngineCommand(options, programDirectory, doctor, renderDoctor));
};

function renderDoctor(result: DoctorResult): string {
  const rows = result.providers.map(({ name, available, gflops, reason }) => [
    name,
    available ? 'yes' : 'no',
    gflops === null ? '–' : String(Math.round(gflops)),
    reason.split('\n', 1)[0]!.slice(0, 120),
  ]);
  const versions = Object.entries(result.versions).map(([name, version]) => `${name} ${version}`);
  return [
    textTable(['provider', 'available', 'GFLOP/s', 'reason'], rows),
    '',
    `Asked for: ${result.requested}. Selected: ${result.selected}. ${result.reason}`,
    `Threads: ${result.threads}. Cache: ${result.cacheDirectory}`,
    versions.join(' · '),
  ].join('\n');
}
