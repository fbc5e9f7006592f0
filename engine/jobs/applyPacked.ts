import path from 'node:path';
import type { ArtefactFile } from '../export/artefactFiles';
import { assertCompressible, compressExperts } from '../export/packed/compressedTensors';
import { planArtefact } from '../export/planArtefact';
import { changeIdentity } from '../export/provenance';
import { setKey } from '../export/tunedConfig';
import type { ChosenDelivery } from '../export/chooseDelivery';
import { assertAbsent, type WriteOptions } from '../export/writeArtefact';
import type { JobContext } from '../measure/jobContext';
import { groupText, plannedGroups } from '../methods/quantize/projectionGroups';
import type { ApplyParams, ApplyResult, TargetName } from '../protocol/apply';
import { TunerError } from '../protocol/errors';
import type { Plan } from '../protocol/plan';
import { plannedBits } from '../transform/quantizeBits';
import { rewriteModel } from '../transform/rewriteModel';
import type { OpenModel } from './openModel';
import type { PlannedExperts } from './plannedExperts';
import { openPlannedModel } from './plannedModel';
import { verifyPacked } from './verifyPacked';
import { writeApplied } from './writeApplied';

/** Targets that store rounded weights as codes. */
const packedTargets: readonly TargetName[] = ['compressed-tensors'];

export function isPackedTarget(target: TargetName): boolean {
  return packedTargets.includes(target);
}

/** @throws TunerError `unsupportedFeature` where there is nothing to pack, or groups that differ within a layer */
export function assertPackable(plan: Plan, target: TargetName): void {
  if (isPackedTarget(target) && plan.quantize === undefined) {
    throw new TunerError('unsupportedFeature', 'The plan rounds no weights, so there is nothing to pack.', {
      place: 'quantize',
      wayOut: 'Add the section with "quantize", or choose another target.',
    });
  }
  if (isPackedTarget(target) && plan.quantize?.groups !== undefined) {
    throw new TunerError(
      'unsupportedFeature',
      `Fused kernels load one group size per layer; the plan has ${groupText(plannedGroups(plan.quantize))}.`,
      { place: 'quantize.groups', wayOut: 'Make the plan with --group, or choose the target onnx.' },
    );
  }
}

/** A plan, the model it fits, and how it reaches the target. */
export interface PackedRequest extends PlannedExperts {
  readonly model: OpenModel;
  readonly chosen: ChosenDelivery;
}

/**
 * Writes a checkpoint whose rounded experts are codes, scales and zero points. Every packed tensor is read back and decoded by itself
 * before the folder gets its name.
 * @throws TunerError `unsupportedFeature`, `outputExists`, `malformedPlan`, `writeFailed`, `cancelled`
 */
export async function applyPacked(
  params: ApplyParams,
  { model, plan, experts, activeExperts, chosen }: PackedRequest,
  job: JobContext,
  options: Pick<WriteOptions, 'output'> = {},
): Promise<ApplyResult> {
  const start = performance.now();
  await assertAbsent(path.resolve(params.out));
  const { resolved, fingerprint } = model;
  assertCompressible(resolved, plan.quantize!);
  const planned = await openPlannedModel(model, { plan: params.plan, roundWhenUsed: true }, job);
  try {
    const quantize = plan.quantize!;
    const full = rewriteModel({ resolved, blocks: planned.blocks, experts });
    const packed = {
      experts: planned.blocks.map((block) => block.experts),
      bits: plannedBits(quantize.layers, planned.blocks, params.plan),
      group: quantize.group,
      symmetric: quantize.symmetric,
    };
    const { tensors, config, notes } = compressExperts(resolved, full.tensors, packed);
    const { delivery, explanation } = chosen;
    const changes = {
      experts,
      identity: changeIdentity(plan, fingerprint),
      computed: true,
      removedPrediction: full.removedPrediction.length,
    };
    const provenance = { resolved, fingerprint, plan, target: params.target, delivery, activeExperts, changes };
    // Routers are never packed: the fingerprint, which is made of them, is that of the full weights.
    const weights = {
      rewritten: { ...full, tensors },
      fingerprintOf: () => Promise.resolve(fingerprint),
    };
    const artefact = await planArtefact(provenance, chosen, weights);
    const files = artefact.files.map((file) => withQuantization(file, config));
    const verify = (folder: string) => verifyPacked(folder, tensors, job);
    const said = () => [explanation, ...artefact.notes, ...notes];
    const applied = { params, model, delivery, activeExperts, files, verify, notes: said, start };
    return await writeApplied(applied, job, options);
  } finally {
    await planned.dispose();
  }
}

function withQuantization(file: ArtefactFile, config: Readonly<Record<string, unknown>>): ArtefactFile {
  return file.name === 'config.json' && 'text' in file
    ? { ...file, text: setKey(file.text, ['quantization_config'], config) }
    : file;
}
