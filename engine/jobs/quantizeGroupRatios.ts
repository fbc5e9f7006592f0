import type { MoeBlockSpec } from '../families/specification';
import { projectionGroups, type ProjectionGroups } from '../methods/quantize/projectionGroups';
import { allocatedBits } from '../methods/quantize/quantizedMatrix';
import type { Quantizer, RoundedExpert } from '../methods/quantize/quantizers';
import { roundingErrors, type UnitErrors } from '../methods/quantize/roundingErrors';
import type { GroupChoices } from './quantizeGroups';
import { roundExpert, type CalibratedExpert, type RoundingRun } from './quantizeRounding';

/** The units that have bits of their own. */
export const units = ['gateUp', 'down'] as const;

export type Unit = (typeof units)[number];

/** Experts of a layer whose errors say what other groups do to all of them. */
export const sampledExperts = 4;

/** Errors in other groups relative to those in the first, by unit and group, by position of the bits. */
export type GroupRatios = Readonly<Record<Unit, ReadonlyMap<number, readonly number[]>>>;

/** Errors of one expert in the first groups and in others. */
export interface GroupSample {
  readonly groups: ProjectionGroups;
  readonly first: UnitErrors;
  readonly other: UnitErrors;
}

/** What the other groups do to one expert; errors of 8 bits, which no choice of groups depends on, stay. */
export async function otherGroups(
  run: RoundingRun,
  block: MoeBlockSpec,
  quantizer: Quantizer,
  one: CalibratedExpert,
  first: { readonly known: UnitErrors; readonly byBits: readonly RoundedExpert[] },
  { gateUp, down }: GroupChoices,
): Promise<GroupSample[]> {
  const samples: GroupSample[] = [];
  for (let at = 1; at < Math.max(gateUp.length, down.length); at += 1) {
    const groups = projectionGroups(gateUp[at] ?? gateUp.at(-1)!, down[at] ?? down.at(-1)!);
    const rounded: RoundedExpert[] = [];
    for (const [position, bits] of allocatedBits.entries()) {
      rounded.push(
        bits === 8
          ? first.byBits[position]!
          : await roundExpert({ ...run, groups }, block, quantizer, one, { gate: bits, up: bits, down: bits }),
      );
    }
    samples.push({ groups, first: first.known, other: roundingErrors(one.weights, rounded, one.moments) });
  }
  return samples;
}

/** Ratios of summed errors. */
export function groupRatios(samples: readonly GroupSample[]): GroupRatios {
  const of = (unit: Unit) => {
    const groups = [...new Set(samples.map((sample) => groupOf(unit, sample.groups)))];
    return new Map(
      groups.map((group) => {
        const same = samples.filter((sample) => groupOf(unit, sample.groups) === group);
        const sum = (errors: 'first' | 'other', at: number) =>
          same.reduce((total, sample) => total + sample[errors][unit][at]!, 0);
        return [group, allocatedBits.map((_, at) => sum('other', at) / (sum('first', at) || 1))] as const;
      }),
    );
  };
  return { gateUp: of('gateUp'), down: of('down') };
}

/** The group of a unit. */
export function groupOf(unit: Unit, groups: ProjectionGroups): number {
  return unit === 'down' ? groups.down : groups.gate;
}
