import { Command, Option } from 'commander';
import { expertPrecisions, providerNames } from '../protocol/providerNames';
import { engineVersion } from '../version';
import { commandTable } from './commandTable';
import { nonNegativeInteger, positiveNumber } from './optionValues';

/**
 * The command line of the engine, ready to parse `words`. The command they name, to run it or to explain it, has its options; the
 * others are lines of the help.
 */
export async function createProgram(words: readonly string[], programDirectory: string): Promise<Command> {
  const program = new Command('moe-tuner')
    .description('Measure and tune mixture-of-experts checkpoints: budgets, quality, speed.')
    .version(engineVersion)
    .showHelpAfterError('Run with --help for the options.');
  const commands = new Map<string, Command>();
  for (const { usage, description } of commandTable) {
    const command = addCommonOptions(program.command(usage).description(description));
    commands.set(command.name(), command);
  }
  const named = words.find((word) => commands.has(word));
  const row = commandTable.find(({ usage }) => usage.split(' ', 1)[0] === named);
  if (named !== undefined && row !== undefined) {
    (await row.load())(commands.get(named)!, programDirectory);
  }
  return program;
}

/** Options that every command accepts. */
function addCommonOptions(command: Command): Command {
  return command
    .addOption(new Option('--provider <name>', 'execution provider').choices([...providerNames]).default('auto'))
    .addOption(
      new Option('--precision <name>', 'precision of the experts on a GPU (default: float32)').choices([
        ...expertPrecisions,
      ]),
    )
    .option(
      '--runtime <folder>',
      'folder with another onnxruntime-node (default: MOE_TUNER_RUNTIME or the bundled one)',
    )
    .option('--threads <n>', 'threads of one operator; 0 takes one per core', nonNegativeInteger, 0)
    .option('--cache <folder>', 'folder of cached measurements (default: MOE_TUNER_CACHE or the user cache)')
    .option(
      '--hidden-memory <gigabytes>',
      'hidden states kept in memory; more lie in temporary files (default: 1)',
      positiveNumber,
    )
    .option(
      '--device-memory <gigabytes>',
      'memory of a GPU that may be used; larger layers run in groups of experts and smaller steps (default: all)',
      positiveNumber,
    )
    .option('--json', 'print one JSON document and nothing else on standard output');
}
