import { moeBlocks } from '../families/moeBlocks';
import type { DecoderLayerSpec, FeedForwardSpec, MoeBlockSpec } from '../families/specification';
import type { BlockInputs } from '../measure/rewritingWalk';
import type { VariantMeter } from '../measure/variantMeter';
import type { ExpertUnits } from '../methods/quantize/bitAllocation';
import { storedBits } from '../methods/quantize/bitSizes';
import { allocatedBits, type CodeBits } from '../methods/quantize/quantizedMatrix';
import { quantizers, type ExpertBits, type QuantizerName, type RoundedExpert } from '../methods/quantize/quantizers';
import type { ProjectionGroups } from '../methods/quantize/projectionGroups';
import { roundingErrors, type UnitErrors } from '../methods/quantize/roundingErrors';
import { writeRoundedExpert } from '../transform/quantizeWeights';
import {
  groupOf,
  groupRatios,
  otherGroups,
  sampledExperts,
  units,
  type GroupRatios,
  type GroupSample,
  type Unit,
} from './quantizeGroupRatios';
import type { GroupChoices } from './quantizeGroups';
import { calibratedExperts, roundExpert, walk, type CalibratedExpert, type RoundingRun } from './quantizeRounding';

/** Variants of layers (two units times the bits) above which only the bits nearest to the budget are measured. */
const mostVariants = 192;

/** Losses and costs of all experts, per MoE layer, for groups among those that were asked for. */
export type UnitsOf = (groups: ProjectionGroups) => ExpertUnits[][];

/** Bits of one unit alone. */
function bitsOf(unit: Unit, bits: CodeBits): ExpertBits {
  return unit === 'gateUp' ? { gate: bits, up: bits, down: 16 } : { gate: 16, up: 16, down: bits };
}

/**
 * What every expert loses at 2, 3, 4 and 8 bits.
 *
 * Errors of the rounded weights on the inputs of the expert say how experts and bits compare within a projection of a layer. What a
 * whole projection of a layer is worth is measured: KL divergence from the full model on held-out text with that projection alone
 * rounded, in the first groups of the run. Without text, relative squared errors of the weights stand for both.
 */
export async function measureUnits(
  run: RoundingRun,
  name: QuantizerName,
  text: { readonly calibration: readonly Int32Array[]; readonly meter: VariantMeter } | undefined,
  nearest: CodeBits,
  choices: GroupChoices,
  progress: readonly [number, number],
): Promise<UnitsOf> {
  const blocks = moeBlocks(run.model);
  const measured = text === undefined ? [] : blocks.length * units.length * 3 <= mostVariants ? [2, 3, 4] : [nearest];
  const variants: LayerVariants[] = [];
  const errors: UnitErrors[][] = [];
  const ratios: GroupRatios[] = [];
  const visit = async (block: MoeBlockSpec, inputs: BlockInputs | undefined) => {
    const made = new LayerVariants(block);
    const layer: (UnitErrors | undefined)[] = [];
    const samples: GroupSample[] = [];
    const every = Math.ceil(block.experts.length / sampledExperts);
    for await (const one of calibratedExperts(run, block, quantizers[name], inputs)) {
      const byBits: RoundedExpert[] = [];
      for (const bits of allocatedBits) {
        const rounded = await roundExpert(run, block, quantizers[name], one, { gate: bits, up: bits, down: bits });
        byBits.push(rounded);
        if (measured.includes(bits)) {
          await made.add(run, one, bits, rounded);
        }
      }
      const uncovered = inputs !== undefined && one.moments === undefined;
      const known = uncovered ? undefined : roundingErrors(one.weights, byBits, one.moments);
      layer.push(known);
      if (known !== undefined && one.expert % every === 0) {
        samples.push(...(await otherGroups(run, block, quantizers[name], one, { known, byBits }, choices)));
      }
    }
    variants.push(made);
    errors.push(withMeans(layer));
    ratios.push(groupRatios(samples));
    return block;
  };
  const [from, to] = progress;
  const middle = text === undefined ? to : (from + to) / 2;
  if (text !== undefined && quantizers[name].needs === 'moments') {
    await walk(run, text.calibration, [from, middle], (block, _, inputs) => visit(block, inputs));
  } else {
    for (const [position, block] of blocks.entries()) {
      run.job.progress(from + ((middle - from) * position) / blocks.length, `Errors of layer ${block.layer}`);
      await visit(block, undefined);
    }
  }
  const divergences: Divergence[] = [];
  for (const position of errors.keys()) {
    run.job.progress(middle + ((to - middle) * position) / errors.length, `Measuring layer ${blocks[position]!.layer}`);
    divergences.push(await measureLayer(run, variants[position]!, text?.meter, measured as CodeBits[]));
  }
  return (groups) =>
    errors.map((layer, position) =>
      layerUnits(blocks[position]!, layer, divergences[position]!, {
        groups,
        symmetric: run.symmetric,
        ratios: ratios[position]!,
      }),
    );
}

/** Experts that text did not reach count like the mean of the others of their layer. */
function withMeans(layer: readonly (UnitErrors | undefined)[]): UnitErrors[] {
  const known = layer.filter((errors) => errors !== undefined);
  const mean = (unit: Unit) =>
    allocatedBits.map((_, at) => known.reduce((sum, errors) => sum + errors[unit][at]!, 0) / Math.max(1, known.length));
  return layer.map((errors) => errors ?? { gateUp: mean('gateUp'), down: mean('down') });
}

/** Measured KL by unit and bits; empty without text. */
type Divergence = ReadonlyMap<string, number>;

async function measureLayer(
  run: RoundingRun,
  variants: LayerVariants,
  meter: VariantMeter | undefined,
  measured: readonly CodeBits[],
): Promise<Divergence> {
  const found = new Map<string, number>();
  for (const unit of meter === undefined ? [] : units) {
    for (const bits of measured) {
      const layers = run.model.layers.map((layer) => variants.changed(layer, unit, bits));
      const { kl } = await meter!.measure(layers);
      found.set(`${unit} ${bits}`, kl);
    }
  }
  return found;
}

/** One layer with one unit rounded, in every way that will be measured. */
class LayerVariants {
  private readonly experts = new Map<string, FeedForwardSpec[]>();

  constructor(private readonly block: MoeBlockSpec) {}

  async add(run: RoundingRun, one: CalibratedExpert, bits: CodeBits, rounded: RoundedExpert): Promise<void> {
    for (const unit of units) {
      const key = `${unit} ${bits}`;
      const alone: RoundedExpert = unit === 'gateUp' ? { gate: rounded.gate, up: rounded.up } : { down: rounded.down };
      // Scaled channels only make sense together; alone, a unit is rounded without them.
      const part =
        rounded.channelScales === undefined
          ? alone
          : await roundExpert(run, this.block, quantizers.awq, one, bitsOf(unit, bits));
      const label = `layer ${this.block.layer}.${one.expert}`;
      const network = await writeRoundedExpert(run.scratch, label, one.network, one.weights, part);
      this.experts.set(key, [...(this.experts.get(key) ?? []), network]);
    }
  }

  changed(layer: DecoderLayerSpec, unit: Unit, bits: CodeBits): DecoderLayerSpec {
    if (layer.feedForward.kind !== 'moe' || layer.feedForward.block !== this.block) {
      return layer;
    }
    const experts = this.experts.get(`${unit} ${bits}`)!;
    return { ...layer, feedForward: { kind: 'moe', block: { ...this.block, experts } } };
  }
}

/** How the units of a layer are stored, and how their errors change with their groups. */
interface LayerFormat {
  readonly groups: ProjectionGroups;
  readonly symmetric: boolean;
  readonly ratios: GroupRatios;
}

/** Losses and costs of the experts of one layer. */
function layerUnits(
  block: MoeBlockSpec,
  errors: readonly UnitErrors[],
  divergence: Divergence,
  { groups, symmetric, ratios }: LayerFormat,
): ExpertUnits[] {
  const totals = (unit: Unit) => allocatedBits.map((_, at) => errors.reduce((sum, one) => sum + one[unit][at]!, 0));
  const losses = {
    gateUp: lossPerError('gateUp', divergence, totals('gateUp')),
    down: lossPerError('down', divergence, totals('down')),
  };
  return errors.map((own, expert) => {
    const network = block.experts[expert]!;
    const { inputSize: width, outputSize: hidden } = network.down;
    const size = { gateUp: (network.layout === 'ungated' ? 1 : 2) * width * hidden, down: width * hidden };
    const unit = (name: Unit) => {
      const group = groupOf(name, groups);
      const ratio = ratios[name].get(group);
      const loss = (at: number) => own[name][at]! * (ratio?.[at] ?? 1) * (losses[name][at] ?? 1 / errors.length);
      return {
        loss: allocatedBits.map((_, at) => loss(at)),
        cost: allocatedBits.map((bits) => storedBits({ weights: size[name], bits, group, symmetric })),
      };
    };
    return { gateUp: unit('gateUp'), down: unit('down') };
  });
}

/**
 * What one unit of error costs in measured loss, by position of the bits, so that an expert has its share of the loss of its
 * projection; bits that were not measured follow the nearest ones below, else above. Undefined where nothing was measured.
 */
function lossPerError(unit: Unit, divergence: Divergence, totals: readonly number[]): (number | undefined)[] {
  return allocatedBits.map((bits, at) => {
    const reference = divergence.has(`${unit} ${bits}`)
      ? bits
      : (allocatedBits.findLast((other) => other < bits && divergence.has(`${unit} ${other}`)) ??
        allocatedBits.find((other) => divergence.has(`${unit} ${other}`)));
    if (reference === undefined) {
      return undefined;
    }
    const total = totals[reference === bits ? at : allocatedBits.indexOf(reference)]!;
    return total > 0 ? divergence.get(`${unit} ${reference}`)! / total : 0;
  });
}
