import { qualityOf } from '../measure/stateScores';
import { pairedDifference } from '../methods/budgets/heldOutChoice';
import type { AllocationQuality } from '../protocol/budget';
import type { PlanGates } from '../protocol/plan';
import type { CalibrationText } from './calibrationText';
import type { GateScales } from './gateFactors';
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
 * model nearer to the trained one: KL divergence, paired over windows of text that the factors were not measured on. It is taken where the
 * mean difference is larger than its standard error, as allocations are. Remembered on disk.
 */
export async function measuredGates(request: MeasuredGatesRequest): Promise<MeasuredGates> {
  const { scales, search, heldOut, seed, asked = false } = request;
  const { factors, strength } = await tunedFactors(request, scales, search);
  const [plain, windows] = await measureFactors(request, [factors.map(() => 1), factors], heldOut);
  const { mean, standardError } = pairedDifference(windows!.kl, plain!.kl, plain!.tokens);
  const measured = qualityOf(windows!);
  const taken = strength > 0 && (asked || -mean > standardError);
  const [before, after] = [qualityOf(plain!), measured].map(({ kl }) => kl.toPrecision(4));
  const tried =
    strength > 0
      ? `Factors on the experts' outputs, ${strength} times as far from 1 as least squares say, were measured too: KL ${after} with them on other text, ${before} without.`
      : `Factors on the experts' outputs were measured too: none brings the model nearer to the trained one (KL ${before}).`;
  return {
    factors,
    measured,
    gates: taken ? { scale: [...factors], calibrationTokens: search.tokens, seed } : undefined,
    note: taken
      ? `${tried} They are in the plan, and whatever is written from it gets them in its weights; "--gates none" leaves them out.`
      : `${tried} They were left out.`,
  };
}
