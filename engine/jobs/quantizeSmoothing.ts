import type { MoeBlockSpec, NormSpec } from '../families/specification';
import type { JobContext } from '../measure/jobContext';
import { largestInputs } from '../measure/largestInputs';
import type { BlockInputs } from '../measure/rewritingWalk';
import { largestInColumns, smoothingFactors } from '../methods/quantize/smoothing';
import type { RuntimeOptions } from '../runtime/session';
import { decodeStoredWeight } from '../transform/decodeWeight';
import { readFeedForward } from '../transform/readWeight';
import type { ScratchWeights } from '../transform/scratchWeights';
import { smoothNetwork, smoothSurroundings } from '../transform/smoothBlock';

/** What smoothing needs of a run. */
interface SmoothingRun {
  readonly runtime: RuntimeOptions;
  readonly job: JobContext;
  readonly scratch: ScratchWeights;
}

/** A block that computes the same from inputs divided by factors per channel. */
export interface SmoothedBlock {
  readonly block: MoeBlockSpec;
  readonly factors: Float32Array;
  /** The divided inputs. */
  readonly inputs: BlockInputs;
}

/**
 * Smooths the inputs of a block as EAQuant does: one factor per channel from what every expert and the router is given and has, taken up
 * by the norm before them.
 * @param exponent share of the inputs in the factors, from 0 to 1
 */
export async function smoothBlock(
  { runtime, job, scratch }: SmoothingRun,
  block: MoeBlockSpec,
  norm: NormSpec,
  inputs: BlockInputs,
  exponent: number,
): Promise<SmoothedBlock> {
  const { hiddenSize } = block;
  const largest = await largestInputs(block, inputs, runtime, job);
  const router = largestInColumns([await decodeStoredWeight(block.router.weight)], hiddenSize);
  const sizes = [{ inputs: largest.all, weights: router }];
  for (const [expert, network] of block.experts.entries()) {
    const { gate, up } = await readFeedForward(network);
    const weights = largestInColumns(gate === undefined ? [up] : [gate, up], hiddenSize);
    sizes.push({ inputs: largest.experts[expert]!, weights });
  }
  const factors = smoothingFactors(sizes, exponent);
  const experts: MoeBlockSpec['experts'][number][] = [];
  for (const [expert, network] of block.experts.entries()) {
    experts.push(await smoothNetwork(network, factors, scratch, `layer ${block.layer}.${expert}`));
  }
  const surrounded = await smoothSurroundings(block, factors, norm, scratch);
  return {
    block: { ...surrounded, experts },
    factors,
    inputs: async function* () {
      for await (const values of inputs()) {
        yield values.map((value, at) => value / factors[at % hiddenSize]!);
      }
    },
  };
}
