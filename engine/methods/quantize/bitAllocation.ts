import { TunerError } from '../../protocol/errors';
import type { BitGranularity } from '../../protocol/quantization';
import { solveExact } from '../budgets/exactSolver';
import type { BudgetLayer } from '../budgets/lossTable';
import type { ExpertBits } from './quantizers';
import { allocatedBits } from './quantizedMatrix';

/**
 * Weights that share their bits in every runtime: gate and up run as one fused product, so they are one unit.
 * Loss and cost by position in {@link allocatedBits}.
 */
export interface BitUnit {
  readonly loss: readonly number[];
  /** Bits of storage. */
  readonly cost: readonly number[];
}

/** One expert: what rounding its projections costs in quality and in bits. */
export interface ExpertUnits {
  readonly gateUp: BitUnit;
  readonly down: BitUnit;
}

/** Bits of every expert, per MoE layer in order, with what they are predicted to do. */
export interface AllocatedBits {
  readonly granularity: BitGranularity;
  readonly bits: readonly (readonly ExpertBits[])[];
  readonly predicted: number;
}

/** Units that must get the same bits. */
interface Group {
  readonly members: readonly { readonly layer: number; readonly expert: number; readonly unit: keyof ExpertUnits }[];
  readonly choice: BudgetLayer;
}

/** Groups whose totals the exact solver can hold at once; finer problems are solved in two exact steps. */
const largestProblem = 2 ** 26;

/**
 * Spends a budget of bits with the least summed loss: a multiple-choice knapsack (as in MC, arXiv 2410.06270, and MxMoE, arXiv
 * 2505.05799, whose integer programs it equals), solved exactly. With `expert` every expert has bits of its own, which only unrolled
 * graphs can run; `projection` and `layer` are what fused kernels load.
 *
 * Where there are too many experts for one exact solution, the budget is first spent on projections and then, exactly again, among
 * the experts of each.
 *
 * @param layers per MoE layer, per expert
 * @param budget bits of storage, in the unit of the costs
 * @throws TunerError `infeasibleBudget` naming the least that is possible
 */
export function allocateBits(
  layers: readonly (readonly ExpertUnits[])[],
  budget: number,
  granularity: BitGranularity,
): AllocatedBits {
  const groups = groupUnits(layers, granularity);
  if (granularity === 'expert' && problemSize(groups) > largestProblem) {
    return allocateInSteps(layers, budget);
  }
  return collect(layers, groups, solve(groups, budget), granularity);
}

function groupUnits(layers: readonly (readonly ExpertUnits[])[], granularity: BitGranularity): Group[] {
  const keyed = new Map<string, { layer: number; expert: number; unit: keyof ExpertUnits }[]>();
  layers.forEach((experts, layer) => {
    experts.forEach((_, expert) => {
      for (const unit of ['gateUp', 'down'] as const) {
        const parts = { layer: `${layer}`, projection: `${layer} ${unit}`, expert: `${layer} ${unit} ${expert}` };
        const members = keyed.get(parts[granularity]) ?? [];
        members.push({ layer, expert, unit });
        keyed.set(parts[granularity], members);
      }
    });
  });
  return [...keyed.values()].map((members) => {
    const sum = (field: keyof BitUnit, at: number) =>
      members.reduce((total, { layer, expert, unit }) => total + layers[layer]![expert]![unit][field][at]!, 0);
    const column = (field: keyof BitUnit) => allocatedBits.map((_, at) => sum(field, at));
    const choice = { loss: column('loss'), cost: column('cost'), minimum: 1, maximum: allocatedBits.length };
    return { members, choice: { layer: members[0]!.layer, ...choice } };
  });
}

/** Entries of back-tracking that the exact solver would need. */
function problemSize(groups: readonly Group[]): number {
  const divisor = groups.reduce(
    (common, { choice }) => choice.cost.reduce((all, cost) => greatestDivisor(all, cost - choice.cost[0]!), common),
    0,
  );
  const range = groups.reduce((sum, { choice }) => sum + choice.cost.at(-1)! - choice.cost[0]!, 0);
  return (range / (divisor || 1)) * groups.length;
}

function greatestDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestDivisor(right, left % right);
}

/** Position in {@link allocatedBits} per group. */
function solve(groups: readonly Group[], budget: number): number[] {
  const least = groups.reduce((sum, { choice }) => sum + Math.min(...choice.cost), 0);
  if (budget < least) {
    const weightsBits = groups.reduce((sum, { choice }) => sum + (choice.cost.at(-1)! - choice.cost[0]!) / 6, 0);
    throw new TunerError(
      'infeasibleBudget',
      `The budget is ${(budget / weightsBits).toFixed(3)} bits a weight; the least is ${(least / weightsBits).toFixed(3)}.`,
      { wayOut: 'Raise the budget, or use larger groups, which need fewer scales.' },
    );
  }
  const front = solveExact({ layers: groups.map(({ choice }) => choice) });
  return front.atMost(budget).activeExperts.map((choice) => choice - 1);
}

function collect(
  layers: readonly (readonly ExpertUnits[])[],
  groups: readonly Group[],
  choices: readonly number[],
  granularity: BitGranularity,
): AllocatedBits {
  const bits = layers.map((experts) =>
    experts.map((): UnitBits => ({ gateUp: allocatedBits[0], down: allocatedBits[0] })),
  );
  let predicted = 0;
  groups.forEach(({ members, choice }, at) => {
    const chosen = choices[at]!;
    predicted += choice.loss[chosen]!;
    for (const { layer, expert, unit } of members) {
      bits[layer]![expert]![unit] = allocatedBits[chosen]!;
    }
  });
  return { granularity, bits: bits.map((experts) => experts.map(expertBits)), predicted };
}

type UnitBits = { -readonly [Unit in keyof ExpertUnits]: (typeof allocatedBits)[number] };

function expertBits({ gateUp, down }: UnitBits): ExpertBits {
  return { gate: gateUp, up: gateUp, down };
}

/** Projections first, then the experts of every projection with what it was given. */
function allocateInSteps(layers: readonly (readonly ExpertUnits[])[], budget: number): AllocatedBits {
  const coarse = groupUnits(layers, 'projection');
  const choices = solve(coarse, budget);
  const groups: Group[] = [];
  const positions: number[] = [];
  coarse.forEach(({ members, choice }, at) => {
    const fine = members.map((member) => {
      const { loss, cost } = layers[member.layer]![member.expert]![member.unit];
      return {
        members: [member],
        choice: { layer: member.layer, loss, cost, minimum: 1, maximum: allocatedBits.length },
      };
    });
    groups.push(...fine);
    positions.push(...solve(fine, choice.cost[choices[at]!]!));
  });
  return collect(layers, groups, positions, 'expert');
}
