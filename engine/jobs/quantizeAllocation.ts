import type { MoeBlockSpec } from '../families/specification';
import type { VariantMeter } from '../measure/variantMeter';
import { allocateBits, type AllocatedBits } from '../methods/quantize/bitAllocation';
import { allBits, type BitTotals } from '../methods/quantize/bitSizes';
import type { ProjectionGroups } from '../methods/quantize/projectionGroups';
import { allocatedBits, type CodeBits } from '../methods/quantize/quantizedMatrix';
import type { ExpertBits } from '../methods/quantize/quantizers';
import { TunerError } from '../protocol/errors';
import {
  bitGranularities,
  type BitGranularity,
  type QuantizeParams,
  type QuantizeResult,
} from '../protocol/quantization';
import { groupPairs, type GroupChoices } from './quantizeGroups';
import { measureUnits, type UnitsOf } from './quantizeMeasurements';
import { addTotals, bitTotals } from './quantizeReport';
import type { RoundingRun } from './quantizeRounding';
import type { QuantizeText } from './quantizeText';

/** Method whose errors decide the bits when "auto" has not chosen yet. */
const allocatingMethod = { measured: 'gptq', dataFree: 'hqq' } as const;

/** Share of the work of a run that choosing bits takes. */
export const allocationShare = 0.6;

/** What choosing bits needs of a run. */
export interface AllocationRun extends RoundingRun {
  readonly params: QuantizeParams;
  readonly blocks: readonly MoeBlockSpec[];
  readonly choices: GroupChoices;
  readonly text: QuantizeText | undefined;
  readonly meter: VariantMeter | undefined;
}

/** Bits and groups of every expert. */
export interface Allocation {
  readonly groups: ProjectionGroups;
  readonly bits: readonly (readonly ExpertBits[])[];
  readonly allocations: QuantizeResult['allocations'];
}

/** Uniform bits, or those of the exact solver under the budget, in the groups with the least predicted loss. */
export async function allocate(run: AllocationRun): Promise<Allocation> {
  const { params, blocks, text, meter } = run;
  const { bits, method } = params;
  if (bits !== undefined) {
    return {
      groups: run.groups,
      bits: blocks.map(({ experts }) => experts.map(() => ({ gate: bits, up: bits, down: bits }))),
      allocations: [],
    };
  }
  const name = method === 'auto' ? allocatingMethod[text === undefined ? 'dataFree' : 'measured'] : method;
  const pairs = groupPairs(run.choices);
  const budgets = pairs.map((groups) => budgetBits({ ...run, groups }));
  const { codes } = budgets[0]!;
  assertFeasible(run, budgets[0]!);
  const nearest = allocatedBits.reduce<CodeBits>(
    (best, one) => (Math.abs(one - codes) < Math.abs(best - codes) ? one : best),
    2,
  );
  const measured = text !== undefined && meter !== undefined ? { calibration: text.calibration, meter } : undefined;
  const unitsOf = await measureUnits(run, name, measured, nearest, run.choices, [0, allocationShare]);
  const { at } = leastLoss(pairs, budgets, unitsOf, params.granularity);
  const groups = pairs[at]!;
  const solved = bitGranularities.map((granularity) => allocateBits(unitsOf(groups), budgets[at]!.stored, granularity));
  const chosen = solved.find(({ granularity }) => granularity === params.granularity)!;
  return { groups, bits: chosen.bits, allocations: solved.map((one) => allocationSummary({ ...run, groups }, one)) };
}

/**
 * The first groups are the largest: where they leave too little for the fewest bits, nothing need be measured.
 * @throws TunerError `infeasibleBudget`
 */
function assertFeasible(run: AllocationRun, { stored, codes }: BitBudget): void {
  if (codes >= allocatedBits[0]) {
    return;
  }
  const lowest = uniformTotals(run, allocatedBits[0]);
  const perWeight = (bits: number) => (bits / lowest.weights).toFixed(3);
  throw new TunerError(
    'infeasibleBudget',
    `The budget is ${perWeight(stored)} bits a weight; codes of ${allocatedBits[0]} bits with the scales of their groups take ${perWeight(allBits(lowest))}.`,
    {
      place: '--effective-bits, --max-bytes',
      wayOut: 'Raise the budget, or use larger groups, which need fewer scales.',
    },
  );
}

/** A budget in bits of storage, and in bits of codes per weight. */
interface BitBudget {
  readonly stored: number;
  readonly codes: number;
}

/**
 * Position of the groups whose bits are predicted to lose least.
 * @throws TunerError `infeasibleBudget` where the budget is too small for the largest groups
 */
function leastLoss(
  pairs: readonly ProjectionGroups[],
  budgets: readonly BitBudget[],
  unitsOf: UnitsOf,
  granularity: BitGranularity,
): { readonly at: number; readonly predicted: number } {
  // Bits per expert are a large problem; projections compare groups as well.
  const coarse = granularity === 'expert' ? 'projection' : granularity;
  let best = { at: 0, predicted: allocateBits(unitsOf(pairs[0]!), budgets[0]!.stored, coarse).predicted };
  for (const [at, groups] of pairs.entries()) {
    if (at > 0 && budgets[at]!.codes >= allocatedBits[0]) {
      const { predicted } = allocateBits(unitsOf(groups), budgets[at]!.stored, coarse);
      best = predicted < best.predicted ? { at, predicted } : best;
    }
  }
  return best;
}

function budgetBits(run: AllocationRun): BitBudget {
  const { averageBits, effectiveBits, maximumBytes } = run.params;
  const lowest = uniformTotals(run, 2);
  const least = allBits(lowest);
  // Zero points are as wide as codes, so one more bit of all codes costs a little more than one bit.
  const perBit = allBits(uniformTotals(run, 3)) - least;
  if (averageBits !== undefined) {
    return { stored: least + perBit * (averageBits - 2), codes: averageBits };
  }
  const stored = effectiveBits === undefined ? maximumBytes! * 8 : effectiveBits * lowest.weights;
  return { stored, codes: 2 + (stored - least) / perBit };
}

/** What all experts take with the same bits. */
function uniformTotals(run: AllocationRun, bits: CodeBits): BitTotals {
  const same = run.blocks.map(({ experts }) => experts.map(() => ({ gate: bits, up: bits, down: bits })));
  return bitTotalsOf(run, same);
}

function allocationSummary(run: AllocationRun, { granularity, bits, predicted }: AllocatedBits) {
  const totals = bitTotalsOf(run, bits);
  return {
    granularity,
    averageBits: totals.codeBits / totals.weights,
    effectiveBits: allBits(totals) / totals.weights,
    predicted,
  };
}

/** What all experts of a run take. */
export function bitTotalsOf(run: AllocationRun, bits: readonly (readonly ExpertBits[])[]): BitTotals {
  return addTotals(run.blocks.map((block, at) => bitTotals(block, bits[at]!, run)));
}
