import { qualityOf } from '../measure/stateScores';
import { pairedDifference } from '../methods/budgets/heldOutChoice';
import type { AllocationQuality } from '../protocol/budget';
import type { PlanGates } from '../protocol/plan';
import type { CalibrationText } from './calibrationText';
import { factorsFor, type GateScales } from './gateFactors';
import { measureFactors, tunedFactors, type FactorsRequest } from './tunedFactors';

export interface MeasuredGatesRequest extends FactorsRequest {
  readonly scales: GateScales;
  /** Text that the strength of the factors is measured on. */
  readonly search: CalibrationText;
  /** Other text, on which they must help. */
  readonly heldOut: CalibrationText;
  readonly seed: number;
  /** Somebody asked for the factors: they are taken also where they help by no more than the noise. */
  readonly asked?: boolean;
}

/** What was measured of the factors. */
export interface MeasuredGates {
  /** By MoE layer. */
  readonly factors: readonly number[];
  /** On the other text, with the factors. */
  readonly measured: AllocationQuality;
  /** For the plan, where they help by more than the noise. */
  readonly gates: PlanGates | undefined;
  readonly note: string;
}

/**
 * One factor per layer on the output of its experts, which makes up for what fewer of them miss on average, and whether it brings the
 * model nearer to the trained one: KL divergence, paired over windows of text that the factors were not measured on. Of the least-squares
 * factors and those in the strength that measured best, the nearer ones are taken, where the mean difference is larger than its standard
 * error, as allocations are. Remembered on disk.
 */
export async function measuredGates(request: MeasuredGatesRequest): Promise<MeasuredGates> {
  const { activeExperts, scales, search, heldOut, seed, asked = false } = request;
  const leastSquares = { factors: factorsFor(scales, activeExperts), strength: 1 };
  const tuned = await tunedFactors(request, scales, search);
  const tried = [leastSquares, tuned].filter(({ strength }) => strength > 0);
  const lists = [leastSquares.factors.map(() => 1), ...tried.map(({ factors }) => factors)];
  const [plain, ...scored] = await measureFactors(request, lists, heldOut);
  const measuredAll = tried.map((each, at) => ({ ...each, windows: scored[at]!, measured: qualityOf(scored[at]!) }));
  const best = measuredAll.reduce((left, right) => (right.measured.kl < left.measured.kl ? right : left));
  const { factors, strength, windows, measured } = best;
  const { mean, standardError } = pairedDifference(windows.kl, plain!.kl, plain!.tokens);
  const taken = asked || -mean > standardError;
  const [before, after] = [qualityOf(plain!), measured].map(({ kl }) => kl.toPrecision(4));
  const compared = `Factors on the experts' outputs, ${strength === 1 ? 'as least squares say' : `${strength} times as far from 1 as least squares say`}, were measured too: KL ${after} with them on other text, ${before} without.`;
  return {
    factors,
    measured,
    gates: taken ? { scale: [...factors], calibrationTokens: search.tokens, seed } : undefined,
    note: taken
      ? `${compared} They are in the plan, and whatever is written from it gets them in its weights; "--gates none" leaves them out.`
      : `${compared} They were left out.`,
  };
}
