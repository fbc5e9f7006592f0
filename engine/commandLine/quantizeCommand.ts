import { Option } from 'commander';
import { quantize } from '../jobs/quantize';
import { analyseRounding } from '../jobs/roundingAnalysis';
import { groupText, plannedGroups } from '../methods/quantize/projectionGroups';
import {
  bitGranularities,
  defaultQuantizeTokens,
  quantizeParamsSchema,
  quantizerNames,
  type QuantizeResult,
} from '../protocol/quantization';
import {
  roundingAnalysisNames,
  roundingAnalysisParamsSchema,
  type RoundingAnalysisResult,
} from '../protocol/roundingAnalysis';
import type { CommandModule } from './commandModule';
import { runEngineCommand } from './engineCommand';
import { nonNegativeInteger, parameters, positiveInteger, positiveNumber } from './optionValues';
import type { CommonOptions } from './session';
import { bytes, percent, significant, textTable } from './table';

interface QuantizeOptions extends CommonOptions {
  readonly analyse?: string;
  readonly maxBytes?: number;
}

/** Adds `quantize`: bits and rounding of the experts. */
export const quantizeCommand: CommandModule = (command, programDirectory) => {
  command
    .option('--bits <b>', 'the same bits everywhere: 2, 3, 4, 5, 6 or 8', positiveInteger)
    .option('--average-bits <a>', 'mean bits of the codes, spent where they matter', positiveNumber)
    .option('--effective-bits <e>', 'mean bits with scales and zero points, spent where they matter', positiveNumber)
    .option('--max-bytes <n>', 'bytes of the quantized weights, spent where they matter', positiveNumber)
    .addOption(new Option('--method <name>', 'how weights are rounded').choices([...quantizerNames]).default('auto'))
    .option(
      '--group <g>',
      'weights that share a scale (default: the largest of 128, 64, 32, 16 that fits; effective bits and bytes choose)',
      positiveInteger,
    )
    .option('--down-group <g>', 'the same for down (default: that of gate and up)', positiveInteger)
    .option('--symmetric', 'codes centred on zero, no zero points')
    .option(
      '--smoothing <share>',
      'divide the inputs of every layer by factors per channel before rounding (EAQuant): the share of the inputs in them, 0 to 1',
      positiveNumber,
    )
    .addOption(new Option('--scope <name>', 'what is rounded').choices(['experts', 'all']).default('experts'))
    .addOption(
      new Option('--granularity <name>', 'what has bits of its own')
        .choices([...bitGranularities])
        .default('projection'),
    )
    .option('--text <files...>', 'calibration text')
    .option('--calibration-tokens <n>', 'tokens to calibrate and measure on', positiveInteger, defaultQuantizeTokens)
    .option('--length <n>', 'tokens of a calibration window', positiveInteger)
    .addOption(
      new Option('--analyse <name>', 'only measure what a form of rounding would lose; writes nothing').choices([
        ...roundingAnalysisNames,
      ]),
    )
    .option('--seed <n>', 'seed', nonNegativeInteger, 0)
    .option('--out <file>', 'plan file to create or update')
    .action((checkpoint: string, { maxBytes, analyse, ...options }: QuantizeOptions) =>
      analyse === undefined
        ? runEngineCommand(
            options,
            programDirectory,
            (services, job) => {
              const given = { checkpoint, ...options, ...(maxBytes === undefined ? {} : { maximumBytes: maxBytes }) };
              return quantize(parameters(quantizeParamsSchema, given), services, job);
            },
            renderQuantization,
          )
        : runEngineCommand(
            options,
            programDirectory,
            (services, job) => {
              const given = { checkpoint, ...options, analysis: analyse };
              return analyseRounding(parameters(roundingAnalysisParamsSchema, given), services, job);
            },
            renderAnalysis,
          ),
    );
};

function renderAnalysis({ levels, layers, loss, notes }: RoundingAnalysisResult): string {
  const rows = layers.map(({ index, loss: losses, experts }) => {
    const worst = experts.toSorted((left, right) => right.loss[0]! - left.loss[0]!).slice(0, 3);
    return [
      String(index),
      ...losses.map(significant),
      worst.length === 0 ? '–' : worst.map(({ expert }) => String(expert)).join(', '),
    ];
  });
  return [
    textTable(['layer', ...levels.map(({ name, bits }) => `${name} (${significant(bits)})`), 'worst experts'], rows),
    '',
    `${loss} In parentheses: bits a weight.`,
    ...notes.map((note) => `note: ${note}`),
  ].join('\n');
}

function renderQuantization(result: QuantizeResult): string {
  const rows = result.layers.map(({ index, averageBits, effectiveBits, bytes: size, relativeError, uncovered }) => [
    String(index),
    averageBits.toFixed(3),
    effectiveBits.toFixed(3),
    bytes(size),
    relativeError.gate === undefined ? '–' : percent(relativeError.gate),
    percent(relativeError.up),
    percent(relativeError.down),
    uncovered.length === 0 ? '–' : uncovered.join(', '),
  ]);
  const quality =
    result.kl === undefined || result.perplexity === undefined
      ? []
      : [`On held-out text: KL ${significant(result.kl)} nats per token, perplexity ${significant(result.perplexity)}`];
  return [
    textTable(['layer', 'bits', 'effective', 'bytes', 'error gate', 'error up', 'error down', 'uncovered'], rows),
    '',
    `${result.method}, group ${groupText(plannedGroups(result))}, ${result.symmetric ? 'symmetric' : 'asymmetric'}: ${result.arithmetic}`,
    `Experts ${bytes(result.originalBytes)} → ${bytes(result.bytes)}; all weights ${bytes(result.checkpointBytes)}`,
    ...result.allocations.map(
      ({ granularity, predicted, effectiveBits }) =>
        `bits per ${granularity}: ${effectiveBits.toFixed(3)} effective, predicted loss ${significant(predicted)}`,
    ),
    ...result.candidates.map(({ method, kl }) => `${method}: KL ${significant(kl)}`),
    ...quality,
    ...result.notes.map((note) => `note: ${note}`),
    ...(result.plan === undefined ? [] : [`Plan: ${result.plan}`]),
  ].join('\n');
}
