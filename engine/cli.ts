import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import { createProgram } from './commandLine/commands';
import { exitCodes } from './commandLine/session';

/** Entry of `moe-tuner`. Wrong usage exits with 2, as commander prints it; help and version exit with 0. */
async function main(): Promise<void> {
  const program = await createProgram(process.argv.slice(2), path.dirname(fileURLToPath(import.meta.url)));
  program.exitOverride();
  program.commands.forEach((command) => command.exitOverride());
  try {
    await program.parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      throw error;
    }
    process.exitCode = error.exitCode === 0 ? 0 : exitCodes.input;
  }
}

void main();
