import { mostActiveExperts } from '../families/mostActiveExperts';
import type { MoeBlockSpec } from '../families/specification';
import { TunerError } from '../protocol/errors';
import type { ActiveExperts } from '../measure/layerWalk';
import { planTarget, type OpenModel } from './openModel';
import { assertPlanFits, readPlan } from './planFile';

/** Trained active experts per MoE layer. */
export function trainedActiveExperts({ resolved }: OpenModel): ActiveExperts {
  return resolved.blocks.map(({ activeExperts }) => activeExperts);
}

/**
 * Active experts per MoE layer from a plan file, one number, or a list.
 * @returns undefined when nothing is asked for, or what is asked for changes nothing
 * @throws TunerError `usage`, `malformedPlan`, `planForAnotherCheckpoint`
 */
export async function requestedActiveExperts(
  model: OpenModel,
  request: { readonly plan?: string | undefined; readonly activeExperts?: number | readonly number[] | undefined },
): Promise<ActiveExperts | undefined> {
  if (request.plan !== undefined && request.activeExperts !== undefined) {
    throw new TunerError('usage', 'Give a plan or active experts, not both.');
  }
  if (request.plan !== undefined) {
    const plan = await readPlan(request.plan);
    assertPlanFits(plan, planTarget(model), request.plan);
    plan.activeExperts?.forEach((k, at) => {
      assertActiveExperts(model.resolved.blocks[at]!, k, {
        code: 'malformedPlan',
        file: request.plan,
        place: `activeExperts[${at}]`,
      });
    });
    return plan.activeExperts;
  }
  if (request.activeExperts === undefined) {
    return undefined;
  }
  return spread(model, request.activeExperts);
}

function spread(model: OpenModel, requested: number | readonly number[]): ActiveExperts {
  const { blocks } = model.resolved;
  const list = typeof requested === 'number' ? blocks.map(() => requested) : requested;
  if (list.length !== blocks.length) {
    throw new TunerError(
      'usage',
      `${list.length} numbers of active experts were given, but the model has ${blocks.length} MoE layers.`,
      { place: '--active-experts', wayOut: `Give one number, or ${blocks.length} numbers separated by commas.` },
    );
  }
  list.forEach((k, at) => {
    assertActiveExperts(blocks[at]!, k);
  });
  return list;
}

/** Where a number of active experts was read. */
interface ActiveExpertsPlace {
  readonly code: 'usage' | 'malformedPlan';
  readonly file?: string | undefined;
  readonly place: string;
}

/** @throws TunerError `usage` or what is asked for, when a block cannot run with k active experts */
export function assertActiveExperts(
  block: MoeBlockSpec,
  k: number,
  { code, file, place }: ActiveExpertsPlace = { code: 'usage', place: '--active-experts' },
): void {
  const most = mostActiveExperts(block);
  if (!Number.isInteger(k) || k < 1 || k > most) {
    throw new TunerError(code, `Layer ${block.layer} cannot have ${k} active experts.`, {
      file,
      place,
      wayOut: `Give a number from 1 to ${most}.`,
    });
  }
}
