import path from 'node:path';
import { chooseBudgets, totalForAverage } from '../methods/budgets/chooseBudgets';
import { openOnnxModel, type OnnxModel } from '../onnxModel/openOnnxModel';
import type { BudgetParams, BudgetResult } from '../protocol/budget';
import { TunerError } from '../protocol/errors';
import { onnxFingerprint } from './inspectOnnx';
import { assertPlanAccepts, lockedLayers, updatePlan, type PlanTarget } from './planFile';

/** Family that plans for ONNX models name. */
const family = 'onnx';

/** Objectives that need neither weights nor text. */
const controls = ['uniform', 'random'] as const;

/**
 * Chooses active experts for the MoE operators of an ONNX model, one number per operator. Its weights are packed for a runtime, so
 * nothing can be measured: only the controls are possible, and `auto` is the even split.
 * @throws TunerError `unsupportedFeature` naming the way to a measured budget; `infeasibleBudget`, `usage`, `writeFailed`
 */
export async function budgetOnnx(params: BudgetParams): Promise<BudgetResult> {
  const start = performance.now();
  const opened = await openOnnxModel(params.checkpoint);
  const objective = controlOf(params, opened);
  const target = targetOf(opened);
  const out = params.out === undefined ? undefined : path.resolve(params.out);
  if (out !== undefined) {
    await assertPlanAccepts(out, target);
  }
  const layers = opened.operators.map(({ layer, activeExperts }) => ({ index: layer, activeExperts }));
  const { minimumActive, maximumActive, pinned, seed } = params;
  const perLayer = out === undefined ? undefined : await lockedLayers(out, target);
  const total = params.average === undefined ? params.total : totalForAverage(params.average, layers.length);
  const guards = { maximumActive, pinned, perLayer };
  const choice = chooseBudgets({ layers, objective, solver: 'exact', total, minimumActive, guards, seed });
  const automatic = params.objective === 'auto';
  const result: BudgetResult = {
    checkpoint: opened.folder,
    fingerprint: target.fingerprint,
    objective: params.objective,
    solver: 'exact',
    layers: layers.map(({ index }) => index),
    ...choice,
    ...(automatic ? { chosen: objective, notes: [`Nothing was measured: ${cause} The total was split evenly.`] } : {}),
    seed,
    seconds: (performance.now() - start) / 1000,
    ...(out === undefined ? {} : { plan: out }),
  };
  if (out !== undefined) {
    await updatePlan(out, {
      source: {
        checkpoint: path.basename(opened.folder),
        family,
        fingerprint: target.fingerprint,
        experts: Math.max(...target.expertsPerLayer),
        activeExperts: Math.max(...layers.map(({ activeExperts }) => activeExperts)),
      },
      activeExperts: result.activeExperts,
      budget: { objective, solver: 'exact', total: result.total, predicted: null, seed },
    });
  }
  return result;
}

const cause = 'An ONNX model has its weights in the form of one runtime.';

function controlOf(params: BudgetParams, { modelFile }: OnnxModel): (typeof controls)[number] {
  const refuse = (message: string, place: string) =>
    new TunerError('unsupportedFeature', `${message} ${cause}`, {
      file: modelFile,
      place,
      wayOut:
        'Find budgets on the checkpoint it was exported from and apply that plan here, or use --objective uniform.',
    });
  if (params.average !== undefined && params.total !== undefined) {
    throw new TunerError('usage', 'Give an average or a total, not both.', { place: '--average, --total' });
  }
  if (params.cost !== 'active-experts') {
    throw refuse('Only active experts can be counted here.', '--cost');
  }
  if (params.gates !== undefined && params.gates !== 'none') {
    throw refuse('Gates cannot be corrected here.', '--gates');
  }
  const control = controls.find((name) => name === params.objective);
  if (control === undefined && params.objective !== 'auto') {
    throw refuse(`The objective "${params.objective}" cannot be measured here.`, '--objective');
  }
  return control ?? 'uniform';
}

function targetOf(opened: OnnxModel): PlanTarget {
  return {
    family,
    fingerprint: onnxFingerprint(opened),
    moeLayers: opened.operators.map(({ layer }) => layer),
    expertsPerLayer: opened.operators.map(({ experts }) => experts),
  };
}
