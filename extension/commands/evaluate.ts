import { localize } from '../common/localize';
import { fileName } from '../config/resultText';
import type { EngineParams } from '../engine/supervisor';
import { askForInputs } from './evaluationInputs';
import { pickCheckpoint, type ReadyCheckpoint } from './pickCheckpoint';
import { pickPlan } from './pickPlan';
import type { Services } from './services';

/** Answers that a keybinding or a test may give instead of a person. */
export type EvaluateOptions = Partial<Omit<EngineParams<'evaluate'>, 'checkpoint'>>;

async function runEvaluation(
  services: Services,
  checkpoint: ReadyCheckpoint,
  title: string,
  options: EvaluateOptions,
): Promise<void> {
  const { folder } = checkpoint;
  const given = (options.text?.length ?? 0) + (options.tasks?.length ?? 0) > 0;
  const inputs = given ? {} : await askForInputs(services, folder);
  if (inputs === undefined) {
    return;
  }
  const { engine, jobs, provider, store } = services;
  const chosen = { ...inputs, ...options };
  const evaluation = await jobs.run(
    title,
    (control) => engine.request('evaluate', { ...chosen, checkpoint: folder }, control),
    { again: () => runEvaluation(services, checkpoint, title, chosen) },
  );
  if (evaluation !== undefined) {
    provider.set(evaluation.provider);
    store.addEvaluation(folder, evaluation);
  }
}

/** Measures the quality of a checkpoint as it is. */
export async function evaluateCheckpoint(
  services: Services,
  argument?: unknown,
  options: EvaluateOptions = {},
): Promise<void> {
  const checkpoint = await pickCheckpoint(services, argument);
  if (checkpoint !== undefined) {
    const title = localize('Evaluating {label}', { label: checkpoint.label });
    await runEvaluation(services, checkpoint, title, options);
  }
}

/** Measures the quality of a plan against the checkpoint it was made for. */
export async function evaluatePlan(
  services: Services,
  argument?: unknown,
  options: EvaluateOptions = {},
): Promise<void> {
  const picked = await pickPlan(services, argument);
  if (picked !== undefined) {
    const { plan, checkpoint } = picked;
    const title = localize('Evaluating {label}', { label: fileName(plan) });
    await runEvaluation(services, checkpoint, title, { ...options, plan });
  }
}
