import type { MoeBlockSpec } from '../families/specification';
import { projectionGroups, type ProjectionGroups } from '../methods/quantize/projectionGroups';
import type { ExpertBits } from '../methods/quantize/quantizers';
import { TunerError } from '../protocol/errors';
import type { QuantizeParams } from '../protocol/quantization';
import { assertGroups, commonGroups, usualGroups } from '../transform/quantizeBits';

/** Longest row that may be one group where no usual size divides it: longer ones lose too much with one scale. */
const longestRow = 256;

/** Smallest group that a budget of bytes chooses by itself: with smaller ones, scales cost more than they save. */
const smallestChosen = 32;

/** Groups that may be used: the first is what losses are measured with, and errors say how others compare. */
export interface GroupChoices {
  readonly gateUp: readonly number[];
  readonly down: readonly number[];
}

/**
 * Groups for a request. Given ones are taken. A budget that counts scales may choose them, for gate and up apart from down, since
 * large groups leave more of it for codes; all other requests get the largest usual group that divides all rows.
 * @throws TunerError `usage` where a group does not divide the rows of every expert, or no usual one does
 */
export function groupChoices(params: QuantizeParams, blocks: readonly MoeBlockSpec[]): GroupChoices {
  const { group, downGroup } = params;
  const choices =
    group === undefined && countsScales(params) ? freeChoices(downGroup, blocks) : given(group, downGroup, blocks);
  assertDivides(firstGroups(choices), blocks);
  return choices;
}

/** The groups that losses are measured with. */
export function firstGroups({ gateUp, down }: GroupChoices): ProjectionGroups {
  return projectionGroups(gateUp[0]!, down[0]);
}

/** All pairs of groups. */
export function groupPairs({ gateUp, down }: GroupChoices): ProjectionGroups[] {
  return gateUp.flatMap((first) => down.map((second) => projectionGroups(first, second)));
}

/** Attention rows have other lengths, so with the scope "all" one common group serves for everything. */
function countsScales({ effectiveBits, maximumBytes, scope }: QuantizeParams): boolean {
  return (effectiveBits !== undefined || maximumBytes !== undefined) && scope === 'experts';
}

function given(
  group: number | undefined,
  downGroup: number | undefined,
  blocks: readonly MoeBlockSpec[],
): GroupChoices {
  const chosen = group ?? commonGroups(blocks)[0];
  if (chosen === undefined) {
    throw new TunerError('usage', 'No usual group size divides the rows of all experts.', {
      place: '--group',
      wayOut: 'Give a group that divides them, for example the whole row.',
    });
  }
  return { gateUp: [chosen], down: [downGroup ?? chosen] };
}

function freeChoices(downGroup: number | undefined, blocks: readonly MoeBlockSpec[]): GroupChoices {
  const rows = (of: 'hidden' | 'width') =>
    blocks.flatMap(({ experts }) => experts.map(({ down }) => (of === 'hidden' ? down.outputSize : down.inputSize)));
  return { gateUp: dividing(rows('hidden')), down: downGroup === undefined ? dividing(rows('width')) : [downGroup] };
}

/** Usual groups that divide all rows, largest first; where only small ones do, whole rows come before them. */
function dividing(rows: readonly number[]): number[] {
  const usual = usualGroups.filter((group) => rows.every((columns) => columns % group === 0));
  const large = usual.filter((group) => group >= smallestChosen);
  if (large.length > 0) {
    return large;
  }
  const shortest = Math.min(...rows);
  const whole = shortest <= longestRow && rows.every((columns) => columns === shortest) ? [shortest] : [];
  const choices = [...whole, ...usual];
  if (choices.length === 0) {
    throw new TunerError('usage', 'No usual group size divides the rows of all experts.', {
      place: '--group',
      wayOut: 'Give a group that divides them, for example the whole row.',
    });
  }
  return choices;
}

function assertDivides(groups: ProjectionGroups, blocks: readonly MoeBlockSpec[]): void {
  const bits: ExpertBits = { gate: 4, up: 4, down: 4 };
  const all = blocks.map(({ experts }) => experts.map(() => bits));
  assertGroups(groups, all, blocks, { file: '', place: '--group' }, 'usage');
}
