import type { ModelSpec, MoeBlockSpec } from '../families/specification';
import type { JobContext } from '../measure/jobContext';
import type { ActiveExperts } from '../measure/layerWalk';
import { TunerError } from '../protocol/errors';
import { weightChangeNames, type WeightChangeName } from '../protocol/evaluation';
import type { Plan } from '../protocol/plan';
import { roundOthers } from '../transform/quantizeOthers';
import { leaseRounder } from '../transform/rounding/roundingPool';
import { smoothableNorm } from '../transform/smoothBlock';
import { ScratchWeights } from '../transform/scratchWeights';
import type { TransformContext } from '../transform/stage';
import { changesWeights, transformBlocks, withBlocks } from '../transform/transformModel';
import { assertActiveExperts, requestedActiveExperts, trainedActiveExperts } from './activeExperts';
import { plannedExpertBytes, storedExpertBytes } from './expertBytes';
import { planTarget, type OpenModel } from './openModel';
import { assertPlanFits, readPlan } from './planFile';

/** A model as a plan, or other active experts, would make it. Dispose it: computed weights lie in temporary files. */
export interface PlannedModel {
  /** MoE blocks in layer order; those of the checkpoint where the plan changes no weights. */
  readonly blocks: readonly MoeBlockSpec[];
  /** Active experts per MoE layer. */
  readonly activeExperts: ActiveExperts;
  /** Whether the blocks are not those of the checkpoint. */
  readonly weightsChanged: boolean;
  /** The sections of the plan that change the weights of the experts. */
  readonly changes: readonly WeightChangeName[];
  /** Whether anything differs from the checkpoint as it was trained. */
  readonly changed: boolean;
  /** Bytes of the routed experts, stored as the plan says. */
  readonly expertBytes: number;
  /** The changed decoder, given that of the checkpoint; layers that nothing changes keep their identity. */
  decoder(original: ModelSpec): ModelSpec;
  dispose(): Promise<void>;
}

/**
 * Applies a plan file, one number, or a list of active experts to an open model; without any of them the model itself.
 * @throws TunerError `usage`, `malformedPlan`, `planForAnotherCheckpoint`, `unsupportedFeature`, `writeFailed`, `cancelled`
 */
export async function openPlannedModel(
  model: OpenModel,
  request: {
    readonly plan?: string | undefined;
    readonly activeExperts?: number | readonly number[] | undefined;
    /** Leaves the plan's rounding out. */
    readonly unrounded?: boolean | undefined;
    /** See `TransformContext.roundWhenUsed`: only for exports, which write weights without running them. */
    readonly roundWhenUsed?: boolean | undefined;
  },
  job: JobContext,
): Promise<PlannedModel> {
  if (request.plan !== undefined && request.activeExperts !== undefined) {
    throw new TunerError('usage', 'Give a plan or active experts, not both.');
  }
  const whole = request.plan === undefined ? undefined : await readPlan(request.plan);
  const plan = request.unrounded === true && whole !== undefined ? { ...whole, quantize: undefined } : whole;
  if (plan === undefined || !changesWeights(plan)) {
    const trained = trainedActiveExperts(model);
    const activeExperts = (await requestedActiveExperts(model, request)) ?? trained;
    return {
      blocks: model.resolved.blocks,
      activeExperts,
      weightsChanged: false,
      changes: [],
      expertBytes: storedExpertBytes(model.resolved.blocks),
      changed: activeExperts.some((k, at) => k !== trained[at]),
      decoder: (original) => original,
      dispose: () => Promise.resolve(),
    };
  }
  return transformed(model, plan, { job, planFile: request.plan!, roundWhenUsed: request.roundWhenUsed });
}

async function transformed(
  model: OpenModel,
  plan: Plan,
  surroundings: Pick<TransformContext, 'job' | 'planFile' | 'roundWhenUsed'>,
): Promise<PlannedModel> {
  const { planFile } = surroundings;
  assertPlanFits(plan, planTarget(model), planFile);
  const scratch = new ScratchWeights();
  // The threads stay from layer to layer and from file to file.
  const rounder = leaseRounder();
  const dispose = async () => {
    await scratch.dispose();
    await rounder.release();
  };
  const context = { ...surroundings, scratch };
  try {
    const blocks = await transformBlocks(model.resolved.blocks, plan, {
      ...context,
      normBefore: (layer) => smoothableNorm(model.resolved.decoder().layers.find(({ index }) => index === layer)!),
    });
    plan.activeExperts?.forEach((k, at) => {
      assertActiveExperts(blocks[at]!, k, { code: 'malformedPlan', file: planFile, place: `activeExperts[${at}]` });
    });
    const activeExperts = plan.activeExperts ?? blocks.map((block) => block.activeExperts);
    const others =
      plan.quantize?.scope === 'all'
        ? await roundOthers(model.resolved.decoder(), plan, context)
        : (original: ModelSpec) => original;
    return {
      blocks,
      activeExperts,
      weightsChanged: true,
      changes: weightChangeNames.filter((name) => plan[name] !== undefined),
      expertBytes: plannedExpertBytes(model.resolved.blocks, blocks, plan.quantize, planFile),
      changed: true,
      decoder: (original) => withBlocks(others(original), blocks),
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
