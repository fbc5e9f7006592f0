import path from 'node:path';
import type { JobContext } from '../measure/jobContext';
import { chooseBudgets, totalForAverage } from '../methods/budgets/chooseBudgets';
import type { LayerToBudget } from '../methods/budgets/layerBounds';
import { objectiveNamed } from '../methods/budgets/objectives';
import type { BudgetParams, BudgetResult } from '../protocol/budget';
import { TunerError } from '../protocol/errors';
import { defaultProfileSamples, type ProfileResult } from '../protocol/sensitivity';
import { openModel, planTarget, type OpenModel } from './openModel';
import { assertPlanAccepts, updatePlan } from './planFile';
import { profileModel } from './profile';
import type { EngineServices } from './services';

/**
 * Chooses active experts per MoE layer for a total or an average, gives the front over all totals, and writes a plan.
 * Profiles the checkpoint first where the objective needs it; layers profiled before come from the cache.
 * @throws TunerError `usage`, `infeasibleBudget`, `malformedPlan`, `writeFailed`, and those of profiling
 */
export async function budget(params: BudgetParams, services: EngineServices, job: JobContext): Promise<BudgetResult> {
  const start = performance.now();
  if (params.average !== undefined && params.total !== undefined) {
    throw new TunerError('usage', 'Give an average or a total, not both.', { place: '--average, --total' });
  }
  const model = await openModel(params.checkpoint);
  if (params.out !== undefined) {
    await assertPlanAccepts(path.resolve(params.out), planTarget(model));
  }
  const layers: LayerToBudget[] = model.resolved.blocks.map(({ layer, activeExperts }) => ({
    index: layer,
    activeExperts,
  }));
  const total = params.average === undefined ? params.total : totalForAverage(params.average, layers.length);
  const { minimumActive, objective, solver, seed } = params;
  const solve = (profile: ProfileResult | undefined) =>
    chooseBudgets({ layers, profile, objective, solver, total, minimumActive, seed });
  const needsProfile = objectiveNamed(objective).needs === 'profile';
  if (needsProfile) {
    chooseBudgets({ layers, objective: 'uniform', solver: 'exact', total, minimumActive, seed });
  }
  const profile = needsProfile
    ? await profileModel(
        model,
        { input: 'gaussian', text: [], samples: params.samples ?? defaultProfileSamples, seed },
        services,
        job,
      )
    : undefined;
  const chosen = solve(profile);
  const result: BudgetResult = {
    checkpoint: model.checkpoint.folder,
    fingerprint: model.fingerprint,
    objective,
    solver,
    layers: layers.map(({ index }) => index),
    ...chosen,
    seed,
    seconds: (performance.now() - start) / 1000,
  };
  if (params.out === undefined) {
    await services.cache.addResult(model.fingerprint, 'budget', result);
    return result;
  }
  const plan = path.resolve(params.out);
  await writePlan(plan, model, result, profile);
  const written = { ...result, plan };
  await services.cache.addResult(model.fingerprint, 'budget', written);
  return written;
}

async function writePlan(
  file: string,
  model: OpenModel,
  result: BudgetResult,
  profile: ProfileResult | undefined,
): Promise<void> {
  const { resolved, checkpoint, fingerprint } = model;
  await updatePlan(file, {
    source: {
      checkpoint: path.basename(checkpoint.folder),
      family: resolved.recognised.record.name,
      fingerprint,
      experts: resolved.experts,
      activeExperts: resolved.activeExperts,
    },
    activeExperts: result.activeExperts,
    budget: {
      objective: result.objective,
      solver: result.solver,
      total: result.total,
      predicted: result.predicted,
      ...(profile === undefined ? {} : { samples: profile.samples }),
      seed: result.seed,
    },
  });
}
