import type { FeedForwardSpec, MoeBlockSpec } from '../families/specification';
import { codeBits, type CodeBits } from '../methods/quantize/quantizedMatrix';
import type { ProjectionGroups } from '../methods/quantize/projectionGroups';
import { projections, type ExpertBits, type Projection } from '../methods/quantize/quantizers';
import { TunerError } from '../protocol/errors';
import type { PlanQuantize } from '../protocol/plan';
import { assertLayers } from './pruneStage';

/** Where a decision stands, for messages. */
interface PlanPlace {
  readonly file: string;
  readonly place: string;
}

/**
 * Bits of every expert of every MoE layer, as a plan spells them in short.
 * @param blocks as pruning and merging left them
 * @returns per MoE layer in order, per remaining expert in order
 * @throws TunerError `malformedPlan` where a list has the wrong length or a width does not exist
 */
export function plannedBits(
  layers: PlanQuantize['layers'],
  blocks: readonly MoeBlockSpec[],
  planFile: string,
): ExpertBits[][] {
  assertLayers('quantize.layers', layers.length, blocks.length, planFile);
  return layers.map((layer, position) => {
    const count = blocks[position]!.experts.length;
    const at = { file: planFile, place: `quantize.layers[${position}]` };
    const of = (projection: Projection) =>
      expertBits(typeof layer === 'number' ? layer : (layer[projection] ?? 16), count, {
        ...at,
        place: typeof layer === 'number' ? at.place : `${at.place}.${projection}`,
      });
    const [gate, up, down] = [of('gate'), of('up'), of('down')];
    return Array.from({ length: count }, (_, expert) => ({
      gate: gate[expert]!,
      up: up[expert]!,
      down: down[expert]!,
    }));
  });
}

function expertBits(value: number | number[], count: number, at: PlanPlace): (CodeBits | 16)[] {
  if (typeof value === 'number') {
    return Array<CodeBits | 16>(count).fill(knownBits(value, at));
  }
  if (value.length !== count) {
    throw new TunerError('malformedPlan', `There are bits for ${value.length} experts where ${count} remain.`, {
      ...at,
      wayOut: `Give one number, or ${count}.`,
    });
  }
  return value.map((one, expert) => knownBits(one, { ...at, place: `${at.place}[${expert}]` }));
}

function knownBits(value: number, at: PlanPlace): CodeBits | 16 {
  const found = value === 16 ? 16 : codeBits.find((known) => known === value);
  if (found === undefined) {
    throw new TunerError('malformedPlan', `Weights cannot be rounded to ${value} bits.`, {
      ...at,
      wayOut: `Choose ${codeBits.join(', ')}, or 16 to leave them as they are.`,
    });
  }
  return found;
}

/** The inverse of {@link plannedBits}: as short as the numbers allow. */
export function shortestBits(layers: readonly (readonly ExpertBits[])[]): PlanQuantize['layers'] {
  return layers.map((experts) => {
    const of = (projection: Projection) => {
      const values = experts.map((bits) => bits[projection]);
      return values.every((value) => value === values[0]) ? values[0]! : values;
    };
    const [gate, up, down] = [of('gate'), of('up'), of('down')];
    return typeof gate === 'number' && gate === up && gate === down ? gate : { gate, up, down };
  });
}

/** Rows and columns of the projections of an expert; networks without a gate projection have no gate. */
export function projectionShapes(network: FeedForwardSpec): Partial<Record<Projection, readonly [number, number]>> {
  const { inputSize: width, outputSize: hidden } = network.down;
  const shape = [width, hidden] as const;
  return { ...(network.layout === 'ungated' ? {} : { gate: shape }), up: shape, down: [hidden, width] };
}

/**
 * Refuses groups that do not divide the rows of a matrix that is to be rounded, before anything is computed.
 * @throws TunerError `usage` or the given code, naming the tensor and the groups that would do
 */
export function assertGroups(
  groups: ProjectionGroups,
  layers: readonly (readonly ExpertBits[])[],
  blocks: readonly MoeBlockSpec[],
  at: PlanPlace,
  code: 'malformedPlan' | 'usage' = 'malformedPlan',
): void {
  for (const [position, experts] of layers.entries()) {
    const block = blocks[position]!;
    for (const [expert, bits] of experts.entries()) {
      const shapes = projectionShapes(block.experts[expert]!);
      for (const projection of projections) {
        const group = groups[projection];
        const columns = shapes[projection]?.[1];
        if (columns !== undefined && bits[projection] !== 16 && columns % group !== 0) {
          throw new TunerError(
            code,
            `A group of ${group} weights does not divide the ${columns} inputs of ${projection} of expert ${expert} in decoder layer ${block.layer} (${tensorName(block.experts[expert]!, projection)}).`,
            {
              ...at,
              wayOut: `Choose a group that divides all rows: ${commonGroups(blocks).join(', ') || 'there is none'}.`,
            },
          );
        }
        if (columns !== undefined && bits[projection] !== 16 && (columns * bits[projection]) % 8 !== 0) {
          throw new TunerError(
            code,
            `Rows of ${columns} weights of ${bits[projection]} bits do not fill whole bytes.`,
            {
              ...at,
              wayOut: 'Use 8 bits for this layer.',
            },
          );
        }
      }
    }
  }
}

/** Group sizes that every runtime knows. */
export const usualGroups = [128, 64, 32, 16] as const;

/** The usual group sizes that divide the rows of all experts, largest first. */
export function commonGroups(blocks: readonly MoeBlockSpec[]): number[] {
  const columns = new Set(
    blocks.flatMap(({ experts }) => experts.flatMap(({ down }) => [down.inputSize, down.outputSize])),
  );
  return usualGroups.filter((group) => [...columns].every((size) => size % group === 0));
}

/** Name of the stored tensor behind a projection. */
export function tensorName(network: FeedForwardSpec, projection: Projection): string {
  const linear =
    projection === 'down'
      ? network.down
      : network.layout === 'fused-gated'
        ? network.gateUp
        : network.layout === 'gated'
          ? network[projection]
          : network.up;
  const { weight } = linear;
  return weight.storage === 'mxfp4'
    ? weight.blocks.name
    : weight.storage === 'block-quantized'
      ? weight.codes.name
      : weight.entry.name;
}
