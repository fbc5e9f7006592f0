import { Command, Option } from 'commander';
import { apply } from '../jobs/apply';
import { budget } from '../jobs/budget';
import { doctor } from '../jobs/doctor';
import { evaluate } from '../jobs/evaluate';
import { forward } from '../jobs/forward';
import { inspect } from '../jobs/inspect';
import { moe } from '../jobs/moe';
import { profile } from '../jobs/profile';
import { applyParamsSchema, targetNames } from '../protocol/apply';
import {
  budgetParamsSchema,
  costNames,
  defaultCalibrationTokens,
  defaultSearchEvaluations,
  gateCorrections,
  objectiveNames,
  solverNames,
} from '../protocol/budget';
import { expertPrecisions, providerNames } from '../protocol/doctor';
import { defaultWindowLength, evaluateParamsSchema } from '../protocol/evaluation';
import { defaultProfileSamples, profileInputs, profileParamsSchema } from '../protocol/sensitivity';
import { engineVersion } from '../version';
import { calibrateCommand } from './calibrateCommand';
import { benchCommand } from './benchCommand';
import type { CommandModule, MakeCommand } from './commandModule';
import { generateCommand } from './generateCommand';
import { mergeCommand } from './mergeCommand';
import {
  activeExpertsList,
  layerList,
  nonNegativeInteger,
  parameters,
  positiveInteger,
  positiveNumber,
} from './optionValues';
import { pruneCommand } from './pruneCommand';
import { quantizeCommand } from './quantizeCommand';
import { renderApply, renderBudget, renderDoctor, renderEvaluation, renderProfile, renderSummary } from './render';
import { runCommand, type CommonOptions } from './session';
import { significant } from './table';

interface BlockOptions extends CommonOptions {
  readonly layer: number;
  readonly input: string;
  readonly out: string;
  readonly activeExperts?: number;
}

interface ForwardOptions extends CommonOptions {
  readonly ids: string;
  readonly out: string;
  readonly plan?: string;
  readonly activeExperts?: number | number[];
  readonly moeIo?: boolean;
}

/** Commands with a file of their own, in the order of the help. */
const commandModules: readonly CommandModule[] = [
  calibrateCommand,
  pruneCommand,
  mergeCommand,
  quantizeCommand,
  benchCommand,
  generateCommand,
];

/** The command line of the engine: one entry per use case, exactly as the contract spells them. */
export function createProgram(programDirectory: string): Command {
  const program = new Command('moe-tuner')
    .description('Measure and tune mixture-of-experts checkpoints: budgets, quality, speed.')
    .version(engineVersion)
    .showHelpAfterError('Run with --help for the options.');
  const command: MakeCommand = (usage, description) =>
    program
      .command(usage)
      .description(description)
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

  command('doctor', 'probe the execution providers and say which is used and why').action((options: CommonOptions) =>
    runCommand(options, programDirectory, doctor, renderDoctor),
  );

  command('inspect <checkpoint>', 'read the headers of a checkpoint').action(
    (checkpoint: string, options: CommonOptions) =>
      runCommand(options, programDirectory, () => inspect(checkpoint), renderSummary),
  );

  command('moe <checkpoint>', 'run one MoE block on tensor x of a safetensors file')
    .requiredOption('--layer <index>', 'decoder layer', nonNegativeInteger)
    .requiredOption('--input <file>', 'safetensors file with x [..., hidden]')
    .requiredOption('--out <file>', 'safetensors file to write y to')
    .option('--active-experts <k>', 'active experts per token', positiveInteger)
    .action((checkpoint: string, options: BlockOptions) =>
      runCommand(
        options,
        programDirectory,
        (services, job) => moe({ checkpoint, ...options }, services, job),
        ({ layer, tokens, activeExperts, seconds }) =>
          `layer ${layer}: ${tokens} tokens, ${activeExperts} active experts, ${significant(seconds)} s`,
      ),
    );

  command('forward <checkpoint>', 'run the whole model on token ids and write its logits')
    .requiredOption('--ids <file>', 'JSON file with [[id, …], …]')
    .requiredOption('--out <file>', 'safetensors file to write')
    .option('--plan <file>', 'plan whose decisions are applied')
    .option('--active-experts <list>', 'one number, or one per MoE layer separated by commas', activeExpertsList)
    .option('--moe-io', 'also write inputs and outputs of every MoE block')
    .action((checkpoint: string, options: ForwardOptions) =>
      runCommand(
        options,
        programDirectory,
        (services, job) => forward({ checkpoint, ...options, moeIo: options.moeIo ?? false }, services, job),
        ({ tokens, seconds, provider }) => `${tokens} tokens in ${significant(seconds)} s on ${provider}`,
      ),
    );

  command('profile <checkpoint>', 'measure how sensitive each MoE layer is to fewer active experts')
    .addOption(new Option('--input <kind>', 'probe inputs').choices([...profileInputs]).default('gaussian'))
    .option('--text <files...>', 'text for calibration inputs')
    .option('--length <n>', 'tokens of a calibration window', positiveInteger)
    .option('--samples <n>', 'probe tokens per layer', positiveInteger, defaultProfileSamples)
    .option('--seed <n>', 'seed of the probe inputs', nonNegativeInteger, 0)
    .action((checkpoint: string, options: CommonOptions) =>
      runCommand(
        options,
        programDirectory,
        (services, job) => profile(parameters(profileParamsSchema, { checkpoint, ...options }), services, job),
        renderProfile,
      ),
    );

  command('budget <checkpoint>', 'choose active experts per layer and write a plan')
    .option('--average <k>', 'average active experts per MoE layer', positiveNumber)
    .option('--total <n>', 'active experts summed over the MoE layers', positiveInteger)
    .option('--front', 'show every total')
    .addOption(new Option('--objective <name>', 'what is minimised').choices([...objectiveNames]).default('auto'))
    .addOption(new Option('--solver <name>', 'how it is minimised').choices([...solverNames]).default('exact'))
    .option('--text <files...>', 'calibration text for objectives that measure the whole model')
    .option('--tasks <files...>', 'task items for the same, scored on their answers')
    .option('--calibration-tokens <n>', 'tokens to measure on', positiveInteger, defaultCalibrationTokens)
    .option('--length <n>', 'tokens of a calibration window', positiveInteger)
    .option('--evaluations <n>', 'measurements that auto may make', positiveInteger, defaultSearchEvaluations)
    .addOption(
      new Option('--cost <name>', 'what the budget is counted in').choices([...costNames]).default('active-experts'),
    )
    .option('--limit <n>', 'largest total cost, for other costs than active experts', positiveNumber)
    .option('--batch <tokens>', 'tokens processed at once, for bytes and microseconds', positiveInteger, 1)
    .option('--minimum-active <k>', 'fewest active experts of any layer', positiveInteger, 1)
    .option('--maximum-active <k>', 'most active experts of any layer', positiveInteger)
    .option('--pinned <layers>', 'decoder layers that keep their active experts, separated by commas', layerList)
    .addOption(
      new Option('--gates <correction>', 'make up for missing experts in the gates')
        .choices([...gateCorrections])
        .default('none'),
    )
    .option('--samples <n>', 'probe tokens per layer', positiveInteger)
    .option('--seed <n>', 'seed of probes and searches', nonNegativeInteger, 0)
    .option('--out <file>', 'plan file to create or update')
    .action((checkpoint: string, options: CommonOptions & { front?: boolean }) =>
      runCommand(
        options,
        programDirectory,
        (services, job) => budget(parameters(budgetParamsSchema, { checkpoint, ...options }), services, job),
        (result) => renderBudget(result, options.front === true),
      ),
    );

  command('evaluate <checkpoint>', 'measure quality, and a plan against the baseline')
    .option('--plan <file>', 'plan to compare with the baseline')
    .option('--active-experts <list>', 'one number, or one per MoE layer separated by commas', activeExpertsList)
    .option('--text <files...>', 'texts: .txt, .jsonl with "text", or .json with named lists')
    .option('--tasks <files...>', 'tasks: .jsonl with task, prompt and answer')
    .option('--length <n>', 'tokens of a window', positiveInteger, defaultWindowLength)
    .option('--windows <n>', 'windows of each dataset', positiveInteger)
    .option('--per-document', 'every text is a window of its own')
    .action((checkpoint: string, options: CommonOptions) =>
      runCommand(
        options,
        programDirectory,
        (services, job) => evaluate(parameters(evaluateParamsSchema, { checkpoint, ...options }), services, job),
        renderEvaluation,
      ),
    );

  command('apply <checkpoint>', 'write what a plan decides for one runtime')
    .requiredOption('--plan <file>', 'plan to apply')
    .addOption(new Option('--target <name>', 'runtime that loads it').choices([...targetNames]).makeOptionMandatory())
    .requiredOption('--out <folder>', 'folder to create')
    .action((checkpoint: string, options: CommonOptions) =>
      runCommand(
        options,
        programDirectory,
        (_, job) => apply(parameters(applyParamsSchema, { checkpoint, ...options }), job),
        renderApply,
      ),
    );

  for (const add of commandModules) {
    add(command, programDirectory);
  }
  return program;
}
