import type { FeedForwardSpec, ModelSpec, MoeBlockSpec } from '../families/specification';
import { expertMoments } from '../measure/expertMoments';
import { step, type JobContext } from '../measure/jobContext';
import { rewriteLayers, type BlockInputs } from '../measure/rewritingWalk';
import { batchSequences } from '../measure/sequenceBatches';
import { balancedMoments, coverage, layerMoments } from '../methods/quantize/expertBalance';
import type { ProjectionGroups } from '../methods/quantize/projectionGroups';
import {
  projections,
  quantizers,
  type ExpertBits,
  type ExpertMoments,
  type Quantizer,
  type QuantizerName,
  type RoundedExpert,
} from '../methods/quantize/quantizers';
import type { RuntimeOptions } from '../runtime/session';
import { writeRoundedExpert } from '../transform/quantizeWeights';
import { readFeedForward, type FeedForwardWeights } from '../transform/readWeight';
import { scalableChannels } from '../transform/scalableChannels';
import type { ScratchWeights } from '../transform/scratchWeights';
import { smoothableNorm } from '../transform/smoothBlock';
import { attentionHeads } from './evaluate';
import { smoothBlock } from './quantizeSmoothing';

/** Longest time one expert may take, in seconds. */
const expertDeadlineSeconds = 600;

/** What all roundings of one run share. */
export interface RoundingRun {
  readonly model: ModelSpec;
  readonly groups: ProjectionGroups;
  readonly symmetric: boolean;
  /** Share of the inputs in the factors that smooth them, from 0 to 1; absent: inputs stay as they are. */
  readonly smoothing?: number | undefined;
  readonly scratch: ScratchWeights;
  readonly runtime: RuntimeOptions;
  readonly job: JobContext;
}

/** Blocks with rounded experts, and the experts of each that calibration text did not reach. */
export interface RoundedBlocks {
  readonly blocks: readonly MoeBlockSpec[];
  readonly uncovered: readonly (readonly number[])[];
  /** Blocks that were rounded, with smoothed inputs where that was asked for. */
  readonly unrounded: readonly MoeBlockSpec[];
  /** Factors that the inputs of every block are divided by; empty where nothing was smoothed. */
  readonly smoothing: readonly Float32Array[];
}

/** What calibration saw of one expert while a block was walked. */
export interface CalibratedExpert {
  readonly expert: number;
  /** Absent where too few tokens chose the expert to calibrate it. */
  readonly moments: ExpertMoments | undefined;
  readonly weights: FeedForwardWeights;
  readonly network: FeedForwardSpec;
}

/** Rounds all blocks with bits that are already decided; calibrated methods see what the rounded layers before give. */
export async function roundBlocks(
  run: RoundingRun,
  name: QuantizerName,
  bits: readonly (readonly ExpertBits[])[],
  sequences: readonly Int32Array[] | undefined,
  progress: readonly [number, number],
): Promise<RoundedBlocks> {
  const quantizer: Quantizer = quantizers[name];
  const uncovered: number[][] = [];
  const unrounded: MoeBlockSpec[] = [];
  const smoothing: Float32Array[] = [];
  const smoothed = async (block: MoeBlockSpec, inputs: BlockInputs) => {
    const layer = run.model.layers.find(({ index }) => index === block.layer)!;
    return smoothBlock(run, block, smoothableNorm(layer), inputs, run.smoothing!);
  };
  const rewrite = async (original: MoeBlockSpec, position: number, given: BlockInputs | undefined) => {
    let [block, inputs] = [original, given];
    if (given !== undefined && run.smoothing !== undefined) {
      const found = await smoothed(original, given);
      [block, inputs] = [found.block, found.inputs];
      smoothing.push(found.factors);
    }
    unrounded.push(block);
    const missed: number[] = [];
    const experts: FeedForwardSpec[] = [];
    for await (const one of calibratedExperts(run, block, quantizer, inputs)) {
      if (inputs !== undefined && one.moments === undefined) {
        missed.push(one.expert);
      }
      const rounded = await roundExpert(run, block, quantizer, one, bits[position]![one.expert]!);
      const label = `layer ${block.layer}.${one.expert}`;
      experts.push(await writeRoundedExpert(run.scratch, label, one.network, one.weights, rounded));
    }
    uncovered.push(missed);
    return { ...block, experts };
  };
  if (quantizer.needs === 'moments' && sequences !== undefined) {
    return { blocks: await walk(run, sequences, progress, rewrite), uncovered, unrounded, smoothing };
  }
  const blocks: MoeBlockSpec[] = [];
  for (const layer of run.model.layers) {
    if (layer.feedForward.kind === 'moe') {
      const share = layer.index / run.model.layers.length;
      run.job.progress(progress[0] + (progress[1] - progress[0]) * share, `Rounding layer ${layer.index}`);
      blocks.push(await rewrite(layer.feedForward.block, blocks.length, undefined));
    }
  }
  return { blocks, uncovered, unrounded, smoothing };
}

/** Calibration text through all layers, every MoE block replaced by what `rewrite` makes of it. */
export function walk(
  { model, runtime, job }: RoundingRun,
  sequences: readonly Int32Array[],
  progress: readonly [number, number],
  rewrite: (block: MoeBlockSpec, position: number, inputs: BlockInputs) => Promise<MoeBlockSpec>,
): Promise<MoeBlockSpec[]> {
  const batches = batchSequences(sequences, attentionHeads(model));
  return rewriteLayers({ model, runtime, job, batches, sequences, progress, rewrite });
}

/** The experts of a block one after the other, with what they are given where there is text. */
export async function* calibratedExperts(
  { runtime, job }: RoundingRun,
  block: MoeBlockSpec,
  quantizer: Quantizer,
  inputs: BlockInputs | undefined,
): AsyncIterable<CalibratedExpert> {
  const read = async (expert: number) => ({
    expert,
    network: block.experts[expert]!,
    weights: await readFeedForward(block.experts[expert]!),
  });
  if (inputs === undefined || quantizer.needs === 'weights') {
    for (const expert of block.experts.keys()) {
      yield { ...(await read(expert)), moments: undefined };
    }
    return;
  }
  const whole = quantizer.balanced
    ? await layerMoments(expertMoments(block, inputs, quantizer.gatePower, runtime, job))
    : undefined;
  for await (const { expert, ...moments } of expertMoments(block, inputs, quantizer.gatePower, runtime, job)) {
    const known = whole === undefined ? moments : balancedMoments(moments, whole, block.experts.length);
    yield { ...(await read(expert)), moments: coverage(known) };
  }
}

/** Rounds one expert, as one step of the job. */
export function roundExpert(
  { groups, symmetric, job }: RoundingRun,
  block: MoeBlockSpec,
  quantizer: Quantizer,
  { weights, moments, expert }: CalibratedExpert,
  bits: ExpertBits,
): Promise<RoundedExpert> {
  const rounding = { bits, groups, symmetric, scalableChannels: scalableChannels(block) };
  if (projections.every((projection) => bits[projection] === 16)) {
    return Promise.resolve({});
  }
  return step(job, `rounding of layer ${block.layer}, expert ${expert}`, expertDeadlineSeconds, () =>
    Promise.resolve(quantizer.round(weights, rounding, moments)),
  );
}
