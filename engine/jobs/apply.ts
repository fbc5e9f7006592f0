import path from 'node:path';
import { predictedBytes } from '../export/artefactFiles';
import type { Placement } from '../export/artefactOutput';
import { chooseDelivery, type ChosenDelivery } from '../export/chooseDelivery';
import { planArtefact } from '../export/planArtefact';
import { exportTargets } from '../export/targets';
import { assertAbsent, writeArtefact, type WriteOptions } from '../export/writeArtefact';
import type { JobContext } from '../measure/jobContext';
import {
  targetNames,
  type ApplyParams,
  type ApplyResult,
  type ExportTargetsParams,
  type ExportTargetsResult,
  type TargetName,
} from '../protocol/apply';
import { TunerError } from '../protocol/errors';
import type { Plan } from '../protocol/plan';
import { requestedActiveExperts, trainedActiveExperts } from './activeExperts';
import { openModel, type OpenModel } from './openModel';
import { readPlan } from './planFile';

/** A plan, and the model it fits. */
interface FittingPlan {
  readonly model: OpenModel;
  readonly plan: Plan;
  /** One number per MoE layer in order. */
  readonly activeExperts: readonly number[];
}

/**
 * Writes what a plan decides for one runtime: a checkpoint folder with the same weights, or the arguments that change the given one.
 * Refused before anything is written where the runtime cannot load it; what was written is opened again and compared
 * before it gets its name, so that the folder is complete or absent.
 * @throws TunerError `unsupportedFeature`, `outputExists`, `malformedPlan`, `planForAnotherCheckpoint`, `writeFailed`, `cancelled`
 */
export async function apply(
  params: ApplyParams,
  job: JobContext,
  options: Pick<WriteOptions, 'output'> = {},
): Promise<ApplyResult> {
  const start = performance.now();
  const out = path.resolve(params.out);
  const fitting = await openFitting(params);
  const { model, plan, activeExperts } = fitting;
  const chosen = chosenDelivery(fitting, params.target);
  assertOutside(out, model.checkpoint.folder);
  await assertAbsent(out);
  const { delivery, artefact, explanation } = chosen;
  job.log('info', explanation);
  const { resolved, fingerprint } = model;
  const provenance = { resolved, fingerprint, plan, target: params.target, delivery, activeExperts };
  const { files, notes } = await planArtefact(provenance, chosen);
  const predicted = files.reduce((sum, file) => sum + predictedBytes(file), 0);
  const verify = async (folder: string) => {
    if (artefact === 'checkpoint') {
      await assertWritten(folder, fitting);
    }
  };
  const written = await writeArtefact(out, files, { job, verify, ...options });
  job.progress(1, 'Done');
  return {
    checkpoint: model.checkpoint.folder,
    fingerprint,
    plan: path.resolve(params.plan),
    target: params.target,
    out,
    delivery,
    activeExperts: [...activeExperts],
    files: [...written.files],
    bytes: written.bytes,
    predictedBytes: predicted,
    notes: [explanation, ...notes, ...placementNotes(written.placements), ...changeNotes(fitting)],
    seconds: (performance.now() - start) / 1000,
  };
}

/** What every target can load of a plan, without writing anything. */
export async function listTargets(params: ExportTargetsParams): Promise<ExportTargetsResult> {
  const fitting = await openFitting(params);
  const targets = targetNames.map((name) => {
    const { title } = exportTargets[name];
    try {
      return { name, title, accepts: true, explanation: chosenDelivery(fitting, name).explanation };
    } catch (error) {
      if (TunerError.is(error, 'unsupportedFeature')) {
        return { name, title, accepts: false, explanation: error.message };
      }
      throw error;
    }
  });
  return { targets };
}

async function openFitting(params: { readonly checkpoint: string; readonly plan: string }): Promise<FittingPlan> {
  const model = await openModel(params.checkpoint);
  const activeExperts = await requestedActiveExperts(model, { plan: params.plan });
  if (activeExperts === undefined) {
    throw new TunerError('malformedPlan', 'The plan decides nothing that could be applied.', {
      file: path.resolve(params.plan),
      place: 'activeExperts',
      wayOut: 'Choose active experts with "budget", or list them in the plan.',
    });
  }
  return { model, plan: await readPlan(params.plan), activeExperts };
}

function chosenDelivery({ model, activeExperts }: FittingPlan, target: TargetName): ChosenDelivery {
  const { resolved } = model;
  const { name, title } = resolved.recognised.record;
  const configKey = resolved.configKeys.activeExperts;
  return chooseDelivery({ target, family: { name, title }, activeExperts, configKey });
}

/** A checkpoint folder is read by its loaders whole: nothing is written into it. */
function assertOutside(out: string, checkpoint: string): void {
  const relative = path.relative(checkpoint, out);
  if (relative === '' || (!path.isAbsolute(relative) && relative.split(path.sep)[0] !== '..')) {
    throw new TunerError('usage', 'The folder to write is inside the checkpoint.', {
      file: out,
      place: '--out',
      wayOut: 'Choose a folder beside it.',
    });
  }
}

/** @throws TunerError `writeFailed` where the written checkpoint is not the given one with the plan's numbers */
async function assertWritten(folder: string, { model, activeExperts }: FittingPlan): Promise<void> {
  const written = await openModel(folder);
  const numbers = trainedActiveExperts(written);
  const problem =
    written.fingerprint !== model.fingerprint
      ? 'its weights are not those of the checkpoint'
      : numbers.length !== activeExperts.length || numbers.some((k, at) => k !== activeExperts[at])
        ? `its config says ${numbers.join(', ')} active experts instead of ${activeExperts.join(', ')}`
        : undefined;
  if (problem !== undefined) {
    throw new TunerError('writeFailed', `The written checkpoint was not accepted: ${problem}.`, {
      file: folder,
      wayOut: 'Check the config of the original checkpoint for contradictions, and report this if it has none.',
    });
  }
}

function placementNotes(placements: ReadonlySet<Placement>): string[] {
  const linked =
    'The weights are hard links to those of the original: they take no more space, and must not be edited in place.';
  return placements.has('link') ? [linked] : [];
}

function changeNotes({ model, activeExperts }: FittingPlan): string[] {
  const before = trainedActiveExperts(model);
  return activeExperts.every((k, at) => k === before[at]) ? ['The plan changes no active experts.'] : [];
}
