import { access } from 'node:fs/promises';
import type { MoeBlockSpec } from '../families/specification';
import type { JobContext } from '../measure/jobContext';
import { planVersion, type Plan } from '../protocol/plan';
import { ScratchWeights } from '../transform/scratchWeights';
import { changesWeights, transformBlocks } from '../transform/transformModel';
import { planTarget, type OpenModel } from './openModel';
import { assertPlanAccepts, assertPlanFits, readPlan } from './planFile';

/** The model that rounding starts from: pruned and merged as the plan says so far. Dispose it. */
export interface BasePlan {
  readonly plan: Plan;
  readonly blocks: readonly MoeBlockSpec[];
  dispose(): Promise<void>;
}

/**
 * What a plan file that may exist already decides before quantization.
 * @throws TunerError `malformedPlan`, `planForAnotherCheckpoint`, `writeFailed`, `cancelled`
 */
export async function openBasePlan(model: OpenModel, file: string | undefined, job: JobContext): Promise<BasePlan> {
  const target = planTarget(model);
  const original = model.resolved.blocks;
  if (file === undefined || !(await exists(file))) {
    return { plan: { version: planVersion }, blocks: original, dispose: () => Promise.resolve() };
  }
  await assertPlanAccepts(file, target);
  const { quantize, ...plan } = await readPlan(file);
  if (quantize !== undefined) {
    job.log('info', 'The quantize section of the plan is made anew.');
  }
  assertPlanFits(plan, target, file);
  const scratch = new ScratchWeights();
  try {
    const changed = changesWeights(plan)
      ? await transformBlocks(original, plan, { scratch, job, planFile: file })
      : original;
    const blocks = changed.map((block, at) => {
      const activeExperts = plan.activeExperts?.[at] ?? block.activeExperts;
      return activeExperts === block.activeExperts ? block : { ...block, activeExperts };
    });
    return { plan, blocks, dispose: () => scratch.dispose() };
  } catch (error) {
    await scratch.dispose();
    throw error;
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
