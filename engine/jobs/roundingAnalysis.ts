import type { MoeBlockSpec } from '../families/specification';
import type { JobContext } from '../measure/jobContext';
import type { BlockInputs } from '../measure/rewritingWalk';
import { storedBits } from '../methods/quantize/bitSizes';
import { nestedRounding, nestedValues } from '../methods/quantize/matryoshka';
import { outputLoss } from '../methods/quantize/outputLoss';
import { projectionGroups } from '../methods/quantize/projectionGroups';
import { dequantize, type CodeBits, type Matrix } from '../methods/quantize/quantizedMatrix';
import { projectionMatrix, quantizers, type ExpertMatrices, type Projection } from '../methods/quantize/quantizers';
import { roundToNearest } from '../methods/quantize/roundToNearest';
import { ternaryRounding, ternaryValues } from '../methods/quantize/ternary';
import { TunerError } from '../protocol/errors';
import type { RoundingAnalysisParams, RoundingAnalysisResult } from '../protocol/roundingAnalysis';
import { commonGroups } from '../transform/quantizeBits';
import { ScratchWeights } from '../transform/scratchWeights';
import { calibrationText } from './calibrationText';
import { openModel } from './openModel';
import { calibratedExperts, walk, type RoundingRun } from './quantizeRounding';
import { analyseRouter, routerLevels } from './routerAnalysis';
import { runtimeOptions, type EngineServices } from './services';

/** One way to write a matrix, and what it takes. */
interface ExpertLevel {
  readonly name: string;
  bits(group: number): number;
  values(matrix: Matrix, group: number): Float32Array;
}

type LayerAnalysis = RoundingAnalysisResult['layers'][number];

const separate = (bits: CodeBits): ExpertLevel => ({
  name: `${bits} bits apart`,
  bits: (group) => storedBits({ weights: group, bits, group, symmetric: false }) / group,
  values: (matrix, group) => dequantize(roundToNearest(matrix, { bits, group, symmetric: false })),
});

/** Each plane of nested codes adds a bit and one scale per group. */
const nested = (bits: number): ExpertLevel => ({
  name: `${bits} bits nested`,
  bits: (group) => separate(2).bits(group) + (bits - 2) * (1 + 16 / group),
  values: (matrix, group) => nestedValues(nestedRounding(matrix, group, bits - 2), bits - 2),
});

/** Codes -1, 0, 1 as packed by five to a byte; the one scale of a matrix does not count. */
const ternaryBits = 8 / 5;

const expertLevels: Readonly<Record<'ternary' | 'matryoshka', readonly ExpertLevel[]>> = {
  ternary: (['absolute-mean', 'least-squares'] as const).map((scale) => ({
    name: `ternary, ${scale} scale`,
    bits: () => ternaryBits,
    values: (matrix: Matrix) => ternaryValues(ternaryRounding(matrix.values, scale)),
  })),
  matryoshka: [separate(2), nested(3), separate(3), nested(4), separate(4)],
};

/**
 * What forms of rounding would lose that this program does not write: ternary weights (MoTE), nested codes (D²MoE), rounded routers
 * (EAQuant). Per expert on its own inputs with text, on the weights alone without; nothing is changed.
 * @throws TunerError `usage`, `missingTokenizer`, `malformedText`, `cancelled`, …
 */
export async function analyseRounding(
  params: RoundingAnalysisParams,
  services: EngineServices,
  job: JobContext,
): Promise<RoundingAnalysisResult> {
  const start = performance.now();
  const { analysis } = params;
  if (analysis === 'router' && params.text.length === 0) {
    throw new TunerError('usage', 'What a rounded router does shows on text only.', {
      place: '--text',
      wayOut: 'Give text files with --text.',
    });
  }
  const model = await openModel(params.checkpoint);
  const { blocks } = model.resolved;
  const group = params.group ?? commonGroups(blocks)[0];
  assertDivides(group, blocks);
  const text = params.text.length === 0 ? undefined : await calibrationText(model, params);
  const scratch = new ScratchWeights();
  try {
    const run: RoundingRun = {
      model: model.resolved.decoder(),
      groups: projectionGroups(group),
      symmetric: false,
      scratch,
      runtime: await runtimeOptions(services, job),
      job,
    };
    const layers: LayerAnalysis[] = [];
    const visit = async (block: MoeBlockSpec, inputs: BlockInputs | undefined) => {
      layers.push(
        analysis === 'router'
          ? await analyseRouter(block, inputs!, group, job)
          : await analyseExperts(run, block, inputs, expertLevels[analysis], group),
      );
      return block;
    };
    if (text === undefined) {
      for (const [position, block] of blocks.entries()) {
        job.progress(position / blocks.length, `Layer ${block.layer}`);
        await visit(block, undefined);
      }
    } else {
      await walk(run, text.sequences, [0, 1], (block, _, inputs) => visit(block, inputs));
    }
    const levels = analysis === 'router' ? routerLevels : expertLevels[analysis];
    return {
      checkpoint: model.checkpoint.folder,
      fingerprint: model.fingerprint,
      analysis,
      loss: lossText(analysis, text !== undefined),
      levels: levels.map((level) => ({ name: level.name, bits: level.bits(group) })),
      layers,
      notes: notesOf(layers),
      ...(text === undefined ? {} : { calibrationTokens: text.tokens }),
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    await scratch.dispose();
  }
}

function assertDivides(group: number | undefined, blocks: readonly MoeBlockSpec[]): asserts group is number {
  const fits = (size: number) =>
    blocks.every(({ experts }) =>
      experts.every(({ down }) => down.inputSize % size === 0 && down.outputSize % size === 0),
    );
  if (group === undefined || !fits(group)) {
    throw new TunerError('usage', `A group of ${group ?? 'any usual size'} does not divide the rows of all experts.`, {
      place: '--group',
      wayOut: `Choose one of ${commonGroups(blocks).join(', ') || 'the divisors of all rows'}.`,
    });
  }
}

async function analyseExperts(
  run: RoundingRun,
  block: MoeBlockSpec,
  inputs: BlockInputs | undefined,
  levels: readonly ExpertLevel[],
  group: number,
): Promise<LayerAnalysis> {
  const experts: LayerAnalysis['experts'] = [];
  for await (const { expert, weights, moments } of calibratedExperts(run, block, quantizers.gptq, inputs)) {
    const loss = levels.map((level) =>
      outputLoss(weights, moments, (projection) => level.values(matrixOf(weights, projection), group)),
    );
    experts.push({ expert, ...(moments === undefined ? {} : { tokens: moments.input.tokens }), loss });
  }
  // Losses on inputs and on weights do not compare, so experts without text do not count where others have some.
  const counted = inputs === undefined ? experts : experts.filter(({ tokens }) => tokens !== undefined);
  const mean = (at: number) => counted.reduce((sum, { loss }) => sum + loss[at]!, 0) / Math.max(1, counted.length);
  return { index: block.layer, loss: levels.map((_, at) => mean(at)), experts };
}

function matrixOf(weights: ExpertMatrices, projection: Projection): Matrix {
  return projectionMatrix(weights, projection)!;
}

function lossText(analysis: RoundingAnalysisParams['analysis'], measured: boolean): string {
  if (analysis === 'router') {
    return 'KL divergence over the probabilities of the leading experts, in nats per token.';
  }
  return measured
    ? 'Squared error of the outputs of the projections relative to the outputs, on calibration text.'
    : 'Squared error of the weights relative to the weights.';
}

function notesOf(layers: readonly LayerAnalysis[]): string[] {
  const known = layers.some(({ experts }) => experts.some(({ tokens }) => tokens !== undefined));
  const missed = known
    ? layers.flatMap(({ index, experts }) =>
        experts.filter(({ tokens }) => tokens === undefined).map(({ expert }) => `${index}.${expert}`),
      )
    : [];
  return missed.length === 0
    ? []
    : [`The text hardly reached some experts; their losses are those of the weights: ${missed.join(', ')}.`];
}
