import { TunerError } from '../protocol/errors';
import type { Plan } from '../protocol/plan';
import { withExperts } from '../transform/pruneStage';
import { changesWeights } from '../transform/transformModel';
import { assertActiveExperts } from './activeExperts';
import { planTarget, type OpenModel } from './openModel';
import { assertPlanFits } from './planFile';

/** What a plan leaves of the experts, known from its numbers alone. */
export interface PlannedExperts {
  readonly plan: Plan;
  /** Whether the weights will not be those of the checkpoint. */
  readonly weightsChange: boolean;
  /** Per MoE layer in order, the numbers that the remaining experts have in the checkpoint: of merged ones, the first's. */
  readonly experts: readonly (readonly number[])[];
  /** Active experts per MoE layer in order. */
  readonly activeExperts: readonly number[];
}

/**
 * The numbers of experts and active experts that a plan asks for, without computing any weight. Whether the sections fit each
 * other is checked when they are applied.
 * @throws TunerError `malformedPlan`, `planForAnotherCheckpoint`
 */
export function plannedExperts(model: OpenModel, plan: Plan, planFile: string): PlannedExperts {
  assertPlanFits(plan, planTarget(model), planFile);
  const { blocks } = model.resolved;
  const weightsChange = changesWeights(plan);
  if (plan.activeExperts === undefined && !weightsChange) {
    throw new TunerError('malformedPlan', 'The plan decides nothing that could be applied.', {
      file: planFile,
      place: 'activeExperts',
      wayOut: 'Choose active experts with "budget", or list them in the plan.',
    });
  }
  const lists = remainingExperts(plan);
  if (lists !== undefined && lists.length !== blocks.length) {
    throw new TunerError(
      'malformedPlan',
      `The plan lists ${lists.length} layers, the checkpoint has ${blocks.length} MoE layers.`,
      {
        file: planFile,
        place: plan.merge === undefined ? 'prune.keep' : 'merge.groups',
        wayOut: `Give one entry per MoE layer in order: ${blocks.length}.`,
      },
    );
  }
  const experts = blocks.map((block, at) => lists?.[at] ?? block.experts.map((_, expert) => expert));
  const left = blocks.map((block, at) => withExperts(block, experts[at]!));
  plan.activeExperts?.forEach((k, at) => {
    assertActiveExperts(left[at]!, k, { code: 'malformedPlan', file: planFile, place: `activeExperts[${at}]` });
  });
  const activeExperts = plan.activeExperts ?? left.map((block) => block.activeExperts);
  return { plan, weightsChange, experts, activeExperts };
}

/** Original numbers of the experts that a plan leaves, per MoE layer; undefined where it names none. */
function remainingExperts({ prune, merge }: Plan): readonly (readonly number[])[] | undefined {
  // With all router rows left there are as many experts as before merging, some of them equal.
  return merge === undefined || merge.options?.['router'] === 'all'
    ? prune?.replacement === undefined
      ? prune?.keep
      : undefined
    : merge.groups.map((groups) => groups.map((group) => group[0]!));
}
