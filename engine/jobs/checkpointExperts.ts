import type { MoeBlockSpec } from '../families/specification';
import { readPlan } from './planFile';

/**
 * Ids in the checkpoint of the experts that the blocks of a model have, per MoE layer: an expert that several became has the id of the
 * first of them.
 * @param planFile the plan that made the blocks, where one did
 */
export async function checkpointExperts(
  blocks: readonly MoeBlockSpec[],
  planFile: string | undefined,
): Promise<readonly (readonly number[])[]> {
  const plan = planFile === undefined ? undefined : await readPlan(planFile);
  return blocks.map(({ experts, router }, layer) => {
    const groups = plan?.merge?.groups[layer];
    if (router.keptRows !== undefined) {
      return router.keptRows;
    }
    return groups?.length === experts.length ? groups.map(([first]) => first!) : experts.map((_, expert) => expert);
  });
}
