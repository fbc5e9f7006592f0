import type { Plan, PlanQuantize } from '../../engine/protocol/plan';

export const projections = ['gate', 'up', 'down'] as const;
export type Projection = (typeof projections)[number];

/** Bits that a gesture gives; 16 leaves the weights as they are. */
export const offeredBits = [2, 3, 4, 8, 16] as const;

/** Bits of a stored scale, and of a weight that is not rounded. */
export const unroundedBits = 16;

/** Bits of one projection of one layer, one number per remaining expert where they differ. */
export type ProjectionBits = number | readonly number[];

/** What the effective bits of a plan depend on besides the bits. */
export type Rounding = Pick<PlanQuantize, 'group' | 'groups' | 'symmetric'>;

/** The bits of one layer by projection; undefined where the layer has no such projection listed. */
export function layerBits(
  layer: PlanQuantize['layers'][number] | undefined,
  projection: Projection,
): ProjectionBits | undefined {
  return typeof layer === 'object' ? layer[projection] : layer;
}

export function meanBits(bits: ProjectionBits): number {
  return typeof bits === 'number' ? bits : bits.reduce((sum, each) => sum + each, 0) / Math.max(1, bits.length);
}

/** Bits of one remaining expert, counted in order. */
export function expertBits(bits: ProjectionBits, order: number): number | undefined {
  return typeof bits === 'number' ? bits : bits[order];
}

/** Weights of a projection that share a scale. */
export function groupOf({ group, groups }: Rounding, projection: Projection): number {
  return projection === 'down' ? (groups?.down ?? group) : group;
}

/** Bits a weight takes with its share of scales and zero points. Unrounded weights have neither. */
export function effectiveBits(bits: number, rounding: Rounding, projection: Projection): number {
  const stored = unroundedBits + (rounding.symmetric ? 0 : bits);
  return bits >= unroundedBits ? bits : bits + stored / groupOf(rounding, projection);
}

/** Weights that are rounded alike, and which share of all they are. */
export interface BitsPart {
  readonly bits: number;
  readonly group: number;
  readonly share: number;
}

export interface BitsAverage {
  readonly codes: number;
  readonly effective: number;
  /** Few bits first; the shares add up to 1. */
  readonly parts: readonly BitsPart[];
}

/** Mean bits of the listed projections of all layers, codes alone and with scales and zero points. */
export function averageBits(quantize: PlanQuantize): BitsAverage {
  const parts = new Map<string, { bits: number; group: number; share: number }>();
  let codes = 0;
  let effective = 0;
  let listed = 0;
  for (const layer of quantize.layers) {
    for (const projection of projections) {
      const bits = layerBits(layer, projection);
      if (bits === undefined) {
        continue;
      }
      listed += 1;
      const group = groupOf(quantize, projection);
      const each = typeof bits === 'number' ? [bits] : bits;
      for (const one of each) {
        const share = 1 / each.length;
        codes += one * share;
        effective += effectiveBits(one, quantize, projection) * share;
        const key = `${String(one)} ${String(group)}`;
        const part = parts.get(key) ?? { bits: one, group, share: 0 };
        part.share += share;
        parts.set(key, part);
      }
    }
  }
  const count = Math.max(1, listed);
  return {
    codes: codes / count,
    effective: effective / count,
    parts: [...parts.values()]
      .map((part) => ({ ...part, share: part.share / count }))
      .sort((one, other) => one.bits - other.bits || one.group - other.group),
  };
}

/**
 * The numbers that the remaining experts of each layer have in the checkpoint, in the order in which a plan lists their bits: those
 * that pruning keeps, of merged ones the first.
 *
 * @param experts how many experts each layer has in the checkpoint
 */
export function remainingExperts({ prune, merge }: Plan, experts: readonly number[]): readonly (readonly number[])[] {
  const merged = merge !== undefined && merge.options?.['router'] !== 'all' ? merge.groups : undefined;
  return experts.map(
    (count, position) =>
      merged?.[position]?.flatMap(([first]) => first ?? []) ??
      prune?.keep[position] ??
      Array.from({ length: count }, (_, expert) => expert),
  );
}
