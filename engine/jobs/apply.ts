import path from 'node:path';
import type { Placement } from '../export/artefactOutput';
import { chooseDelivery, type ChosenDelivery } from '../export/chooseDelivery';
import { planArtefact, type ChangedWeights } from '../export/planArtefact';
import { changeIdentity, type WeightChanges } from '../export/provenance';
import { assertReplacement } from '../export/replacedExperts';
import { exportTargets } from '../export/targets';
import { assertAbsent, type WriteOptions, type WrittenArtefact } from '../export/writeArtefact';
import type { ModelSpec } from '../families/specification';
import { renormalises } from '../families/renormalises';
import type { JobContext } from '../measure/jobContext';
import {
  ggufBlockNames,
  targetNames,
  type ApplyParams,
  type ApplyResult,
  type ExportTargetsParams,
  type ExportTargetsResult,
  type TargetName,
} from '../protocol/apply';
import { toTunerError, TunerError } from '../protocol/errors';
import type { Plan } from '../protocol/plan';
import { rewriteModel, type RewrittenModel } from '../transform/rewriteModel';
import { trainedActiveExperts } from './activeExperts';
import { applyGguf, assertGgufBlocks, writesGguf } from './applyGguf';
import { applyOnnx } from './applyOnnx';
import { applyToOnnxModel } from './applyToOnnxModel';
import { isOnnxModel } from '../onnxModel/isOnnxModel';
import { applyPacked, assertPackable, isPackedTarget } from './applyPacked';
import { openModel, type OpenModel } from './openModel';
import { readPlan } from './planFile';
import { plannedExperts, type PlannedExperts } from './plannedExperts';
import { openPlannedModel, type PlannedModel } from './plannedModel';
import { assertSameOutputs } from './sameOutputs';
import { verifyWritten } from './verifyWritten';
import { writeApplied } from './writeApplied';

/** A plan, and the model it fits. */
interface FittingPlan extends PlannedExperts {
  readonly model: OpenModel;
}

/**
 * Writes what a plan decides for one runtime: a checkpoint folder, with the same weights or changed ones, or the arguments that change
 * the given one. Refused before anything is written where the runtime cannot load it; what was written is opened again,
 * compared and run on a few tokens before it gets its name, so that the folder is complete or absent.
 * @throws TunerError `unsupportedFeature`, `outputExists`, `malformedPlan`, `planForAnotherCheckpoint`, `writeFailed`, `cancelled`
 */
export async function apply(
  params: ApplyParams,
  job: JobContext,
  options: Pick<WriteOptions, 'output'> = {},
): Promise<ApplyResult> {
  const start = performance.now();
  const out = path.resolve(params.out);
  if (params.target === 'onnx' && (await isOnnxModel(params.checkpoint))) {
    return applyToOnnxModel(params, job, options);
  }
  const fitting = await openFitting(params);
  const { model, plan, activeExperts, weightsChange } = fitting;
  const chosen = chosenDelivery(fitting, params.target);
  const asGguf = writesGguf(params.target, model.resolved.recognised.record.name, weightsChange);
  assertGgufBlocks(params, asGguf, plan);
  assertOutside(out, model.checkpoint.folder);
  if (params.target === 'onnx') {
    return applyOnnx(params, job, options);
  }
  if (isPackedTarget(params.target)) {
    return applyPacked(params, { ...fitting, chosen }, job, options);
  }
  if (asGguf) {
    return applyGguf(params, { ...fitting, chosen }, job, options);
  }
  await assertAbsent(out);
  const { delivery, artefact, explanation } = chosen;
  job.log('info', explanation);
  const { resolved, fingerprint } = model;
  const counts = fitting.experts.map(({ length }) => length);
  const planned = weightsChange
    ? await openPlannedModel(model, { plan: params.plan, roundWhenUsed: true }, job)
    : undefined;
  try {
    const decoder = planned === undefined ? undefined : decoderOf(model, job);
    const weights = planned === undefined ? undefined : changedWeights(fitting, planned, decoder);
    const changes = weights === undefined ? undefined : weightChanges(fitting, weights.rewritten);
    const provenance = { resolved, fingerprint, plan, target: params.target, delivery, activeExperts, changes };
    const { files, notes } = await planArtefact(provenance, chosen, weights);
    const verify = async (folder: string) => {
      if (artefact === 'checkpoint') {
        const expected = weights?.rewritten ?? fingerprint;
        const written = await verifyWritten(folder, { activeExperts, experts: counts, weights: expected });
        if (planned !== undefined) {
          await assertSameOutputs(decoder, planned, written, job);
        }
      }
    };
    const experts = weightsChange ? fitting.experts : undefined;
    const said = (written: WrittenArtefact) => [
      explanation,
      ...notes,
      ...placementNotes(written.placements),
      ...(changes === undefined ? changeNotes(fitting) : weightNotes(fitting, changes)),
    ];
    const applied = { params, model, delivery, activeExperts, experts, files, verify, notes: said, start };
    return await writeApplied(applied, job, options);
  } finally {
    await planned?.dispose();
  }
}

/** What every target can load of a plan, without writing anything. */
export async function listTargets(params: ExportTargetsParams): Promise<ExportTargetsResult> {
  const fitting = await openFitting(params);
  const ggufBlocks = [...ggufBlockNames];
  const targets = targetNames.map((name) => {
    const { title } = exportTargets[name];
    try {
      const { explanation } = chosenDelivery(fitting, name);
      return { name, title, accepts: true, explanation, ...(choosesBlocks(fitting, name) ? { ggufBlocks } : {}) };
    } catch (error) {
      if (TunerError.is(error, 'unsupportedFeature')) {
        return { name, title, accepts: false, explanation: error.message };
      }
      throw error;
    }
  });
  return { targets };
}

/** Whether the bits of a plan would go into a GGUF file, where they can take more than one form. */
function choosesBlocks({ model, plan, weightsChange }: FittingPlan, target: TargetName): boolean {
  return plan.quantize !== undefined && writesGguf(target, model.resolved.recognised.record.name, weightsChange);
}

async function openFitting(params: { readonly checkpoint: string; readonly plan: string }): Promise<FittingPlan> {
  const model = await openModel(params.checkpoint);
  return { model, ...plannedExperts(model, await readPlan(params.plan), path.resolve(params.plan)) };
}

function chosenDelivery(
  { model, plan, activeExperts, experts, weightsChange }: FittingPlan,
  target: TargetName,
): ChosenDelivery {
  const { resolved } = model;
  const { name, title } = resolved.recognised.record;
  assertPackable(plan, target);
  assertTakesSmoothing(plan, target, writesGguf(target, name, weightsChange));
  assertReplacement(target, plan, resolved.blocks);
  return chooseDelivery({
    target,
    family: { name, title },
    activeExperts,
    trainedActiveExperts: trainedActiveExperts(model),
    configKey: resolved.configKeys.activeExperts,
    experts: weightsChange ? { before: resolved.experts, after: experts.map(({ length }) => length) } : undefined,
  });
}

/** Smoothed inputs change norms and routers beside the experts, in float32: only formats that are written anew take them. */
function assertTakesSmoothing({ quantize }: Plan, target: TargetName, asGguf: boolean): void {
  if (quantize?.options?.['smoothing'] !== undefined && target !== 'onnx' && !asGguf) {
    throw new TunerError(
      'unsupportedFeature',
      'The plan smooths the inputs of experts, which changes norms and routers in float32: checkpoint folders keep their types.',
      { place: '--target', wayOut: 'Write the target onnx or llama.cpp, or quantize without --smoothing.' },
    );
  }
}

/** The whole decoder where it can be built; without it the MoE blocks alone are changed and compared. */
function decoderOf({ resolved }: OpenModel, job: JobContext): ModelSpec | undefined {
  if (resolved.forwardRefusal !== undefined) {
    return undefined;
  }
  try {
    return resolved.decoder();
  } catch (error) {
    const reason = toTunerError(error).describe();
    job.log('warn', `Only the MoE blocks are compared after writing, because the decoder cannot be built: ${reason}`);
    return undefined;
  }
}

/** How the weights are put together. @throws TunerError `unsupportedFeature` where the storage cannot express the plan */
function changedWeights(
  { model: { resolved }, experts }: FittingPlan,
  planned: PlannedModel,
  decoder: ModelSpec | undefined,
): ChangedWeights {
  const whole = decoder === undefined ? undefined : { before: decoder, after: planned.decoder(decoder) };
  const rewritten = rewriteModel({ resolved, blocks: planned.blocks, experts, decoder: whole });
  return { rewritten, fingerprintOf: async (folder) => (await openModel(folder)).fingerprint };
}

function weightChanges(
  { model, plan, experts }: FittingPlan,
  { tensors, removedPrediction }: RewrittenModel,
): WeightChanges {
  return {
    experts,
    identity: changeIdentity(plan, model.fingerprint),
    computed: tensors.some(({ original, pieces }) =>
      pieces.some((piece) => piece.kind !== 'stored' || piece.file !== original.file),
    ),
    removedPrediction: removedPrediction.length,
  };
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

function placementNotes(placements: ReadonlySet<Placement>): string[] {
  const linked =
    'Weight files that do not change are hard links to those of the original: they take no more space, and must not be edited in place.';
  return placements.has('link') ? [linked] : [];
}

function changeNotes({ model, activeExperts }: FittingPlan): string[] {
  const before = trainedActiveExperts(model);
  return activeExperts.every((k, at) => k === before[at]) ? ['The plan changes no active experts.'] : [];
}

/** What a person should know of the written weights. */
function weightNotes({ model, plan }: FittingPlan, { removedPrediction }: WeightChanges): string[] {
  const { gates, score, sparseMixer } = model.resolved.blocks[0]!.router;
  const inflates = score === 'softmax' && !renormalises(gates) && sparseMixer === undefined;
  const corrected = plan.prune?.correction !== undefined || plan.gates?.scale !== undefined;
  return [
    plan.prune !== undefined && !corrected && inflates
      ? 'The router of this family does not divide gates by their sum: those of the remaining experts grow when others go. A "correction" in the prune section makes up for it.'
      : undefined,
    plan.quantize === undefined
      ? undefined
      : 'Rounded weights are stored in the type of the original: the files show what rounding does to the model, and are no smaller for it.',
    plan.merge === undefined ? undefined : mergeNote(plan.merge.options?.['router']),
    removedPrediction === 0
      ? undefined
      : `${removedPrediction} tensors of next-token-prediction layers are left out: nothing was measured that says which of their experts could go.`,
  ].filter((note) => note !== undefined);
}

/** No checkpoint format lets router rows share an expert. */
function mergeNote(router: unknown): string {
  return router === 'all'
    ? 'All router rows stay, so merged experts are written once for every row: the folder is no smaller.'
    : router === 'mean'
      ? 'Each group of merged experts has the weighted mean of their router rows; rows cannot share an expert.'
      : 'The first expert of each merged group keeps its router row, the other rows are gone: rows cannot share an expert.';
}
