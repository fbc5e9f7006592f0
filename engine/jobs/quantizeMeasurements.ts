import type { DecoderLayerSpec, FeedForwardSpec, MoeBlockSpec } from '../families/specification';
import type { BlockInputs } from '../measure/rewritingWalk';
import type { VariantMeter } from '../measure/variantMeter';
import type { ExpertUnits } from '../methods/quantize/bitAllocation';
import { storedBits } from '../methods/quantize/bitSizes';
import { codeBits, type CodeBits } from '../methods/quantize/quantizedMatrix';
import { quantizers, type ExpertBits, type QuantizerName, type RoundedExpert } from '../methods/quantize/quantizers';
import { roundingErrors, type UnitErrors } from '../methods/quantize/roundingErrors';
import { writeRoundedExpert } from '../transform/quantizeWeights';
import { calibratedExperts, roundExpert, walk, type CalibratedExpert, type RoundingRun } from './quantizeRounding';

/** Variants of layers (two units times the bits) above which only the bits nearest to the budget are measured. */
const mostVariants = 192;

/** The units that have bits of their own. */
const units = ['gateUp', 'down'] as const;

/** Bits of one unit alone. */
function bitsOf(unit: (typeof units)[number], bits: CodeBits): ExpertBits {
  return unit === 'gateUp' ? { gate: bits, up: bits, down: 16 } : { gate: 16, up: 16, down: bits };
}

/**
 * What every expert loses at 2, 3, 4 and 8 bits.
 *
 * Errors of the rounded weights on the inputs of the expert say how experts and bits compare within a projection of a layer. What a
 * whole projection of a layer is worth is measured: KL divergence from the full model on held-out text with that projection alone
 * rounded. Without text, relative squared errors of the weights stand for both.
 */
export async function measureUnits(
  run: RoundingRun,
  name: QuantizerName,
  text: { readonly calibration: readonly Int32Array[]; readonly meter: VariantMeter } | undefined,
  nearest: CodeBits,
  progress: readonly [number, number],
): Promise<ExpertUnits[][]> {
  const blocks = run.model.layers.flatMap(({ feedForward }) => (feedForward.kind === 'moe' ? [feedForward.block] : []));
  const measured = text === undefined ? [] : blocks.length * units.length * 3 <= mostVariants ? [2, 3, 4] : [nearest];
  const variants: LayerVariants[] = [];
  const errors: UnitErrors[][] = [];
  const visit = async (block: MoeBlockSpec, inputs: BlockInputs | undefined) => {
    const made = new LayerVariants(block);
    const layer: (UnitErrors | undefined)[] = [];
    for await (const one of calibratedExperts(run, block, quantizers[name], inputs)) {
      const byBits: RoundedExpert[] = [];
      for (const bits of codeBits) {
        const rounded = await roundExpert(run, block, quantizers[name], one, { gate: bits, up: bits, down: bits });
        byBits.push(rounded);
        if (measured.includes(bits)) {
          await made.add(run, one, bits, rounded);
        }
      }
      layer.push(
        inputs !== undefined && one.moments === undefined
          ? undefined
          : roundingErrors(one.weights, byBits, one.moments),
      );
    }
    variants.push(made);
    errors.push(withMeans(layer));
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
  const result: ExpertUnits[][] = [];
  for (const [position, layer] of errors.entries()) {
    run.job.progress(middle + ((to - middle) * position) / errors.length, `Measuring layer ${blocks[position]!.layer}`);
    const divergence = await measureLayer(run, variants[position]!, text?.meter, measured as CodeBits[]);
    result.push(layerUnits(blocks[position]!, layer, divergence, run));
  }
  return result;
}

/** Experts that text did not reach count like the mean of the others of their layer. */
function withMeans(layer: readonly (UnitErrors | undefined)[]): UnitErrors[] {
  const known = layer.filter((errors) => errors !== undefined);
  const mean = (unit: (typeof units)[number]) =>
    codeBits.map((_, at) => known.reduce((sum, errors) => sum + errors[unit][at]!, 0) / Math.max(1, known.length));
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

  changed(layer: DecoderLayerSpec, unit: (typeof units)[number], bits: CodeBits): DecoderLayerSpec {
    if (layer.feedForward.kind !== 'moe' || layer.feedForward.block !== this.block) {
      return layer;
    }
    const experts = this.experts.get(`${unit} ${bits}`)!;
    return { ...layer, feedForward: { kind: 'moe', block: { ...this.block, experts } } };
  }
}

/** Losses and costs of the experts of one layer. */
function layerUnits(
  block: MoeBlockSpec,
  errors: readonly UnitErrors[],
  divergence: Divergence,
  { group, symmetric }: RoundingRun,
): ExpertUnits[] {
  return errors.map((error, expert) => {
    const network = block.experts[expert]!;
    const { inputSize: width, outputSize: hidden } = network.down;
    const size = { gateUp: (network.layout === 'ungated' ? 1 : 2) * width * hidden, down: width * hidden };
    const unit = (name: (typeof units)[number]) => ({
      loss: codeBits.map((bits, at) => unitLoss(name, bits, at, error, errors, divergence)),
      cost: codeBits.map((bits) => storedBits({ weights: size[name], bits, group, symmetric })),
    });
    return { gateUp: unit('gateUp'), down: unit('down') };
  });
}

/** The expert's share of the measured loss of its projection; bits that were not measured follow the errors. */
function unitLoss(
  unit: (typeof units)[number],
  bits: CodeBits,
  at: number,
  own: UnitErrors,
  all: readonly UnitErrors[],
  divergence: Divergence,
): number {
  const total = (position: number) => all.reduce((sum, one) => sum + one[unit][position]!, 0);
  const known = divergence.get(`${unit} ${bits}`);
  if (known !== undefined) {
    return total(at) > 0 ? (known * own[unit][at]!) / total(at) : 0;
  }
  const reference =
    codeBits.findLast((other) => other < bits && divergence.has(`${unit} ${other}`)) ??
    codeBits.find((other) => divergence.has(`${unit} ${other}`));
  if (reference === undefined) {
    return own[unit][at]! / all.length;
  }
  const referenceTotal = total(codeBits.indexOf(reference));
  return referenceTotal > 0 ? (divergence.get(`${unit} ${reference}`)! * own[unit][at]!) / referenceTotal : 0;
}
