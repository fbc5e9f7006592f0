import type { JobContext } from '../measure/jobContext';
import type { AnyObjective } from '../methods/budgets/objectives';
import type { LossRow } from '../methods/budgets/lossTable';
import type { TableObjective } from '../methods/budgets/objective';
import type { BudgetParams } from '../protocol/budget';
import { defaultProfileSamples, type ProfileResult } from '../protocol/sensitivity';
import type { AllocationMeasurements } from './allocationMeasurements';
import { measureRows } from './measuredRows';
import type { OpenModel } from './openModel';
import { profileModel } from './profile';
import type { EngineServices } from './services';

/** A job whose progress covers only a part of another one. */
export function partOfJob(job: JobContext, from: number, to: number): JobContext {
  return {
    signal: job.signal,
    progress: (fraction, message) => job.progress(from + (to - from) * fraction, message),
    log: (level, message) => job.log(level, message),
    stepStarted: (label, deadlineSeconds) => job.stepStarted(label, deadlineSeconds),
    stepEnded: () => job.stepEnded(),
  };
}

/** The profile that a table objective reads its losses from. */
export async function profileFor(
  objective: TableObjective,
  model: OpenModel,
  params: BudgetParams,
  services: EngineServices,
  job: JobContext,
): Promise<ProfileResult> {
  const onText = objective.input === 'calibration';
  return profileModel(
    model,
    {
      input: objective.input,
      text: onText ? params.text : [],
      samples: onText ? params.calibrationTokens : (params.samples ?? defaultProfileSamples),
      seed: params.seed,
      ...(params.length === undefined ? {} : { length: params.length }),
    },
    services,
    job,
  );
}

/** Predicted losses of an objective, measured now or taken from the cache; undefined for controls, which predict nothing. */
export async function lossRows(
  objective: AnyObjective,
  model: OpenModel,
  params: BudgetParams,
  services: EngineServices,
  measurements: AllocationMeasurements | undefined,
  job: JobContext,
): Promise<LossRow[] | undefined> {
  if (objective.kind === 'table') {
    return objective.lossRows(await profileFor(objective, model, params, services, job));
  }
  if (objective.kind === 'measured' && measurements !== undefined) {
    const layers = model.resolved.blocks.map(({ layer }) => layer);
    const rows = await measureRows(objective, layers, measurements, (fraction, message) =>
      job.progress(fraction, message),
    );
    return objective.lossRows(rows);
  }
  return undefined;
}
