import path from 'node:path';
import type { ArtefactFile } from '../export/artefactFiles';
import { checkpointFiles } from '../export/checkpointFiles';
import type { ChosenDelivery } from '../export/chooseDelivery';
import { ggufCard } from '../export/gguf/ggufCard';
import { ggufArchitecture, planGguf } from '../export/gguf/planGguf';
import { tensorTypes } from '../export/gguf/tensorTypes';
import { tuneFileName, tuneFileText } from '../export/provenance';
import { assertAbsent, type WriteOptions } from '../export/writeArtefact';
import { moeBlocks } from '../families/moeBlocks';
import type { ModelSpec } from '../families/specification';
import type { JobContext } from '../measure/jobContext';
import { TunerError } from '../protocol/errors';
import type { ApplyParams, ApplyResult, TargetName } from '../protocol/apply';
import type { Plan } from '../protocol/plan';
import { plannedBits } from '../transform/quantizeBits';
import { withBlocks } from '../transform/transformModel';
import type { OpenModel } from './openModel';
import type { PlannedExperts } from './plannedExperts';
import { openPlannedModel, type PlannedModel } from './plannedModel';
import { verifyGguf } from './verifyGguf';
import { writeApplied } from './writeApplied';

/** Whether a plan reaches the target as a GGUF file: its weights change, and the family's names in such files are known. */
export function writesGguf(target: TargetName, family: string, weightsChange: boolean): boolean {
  return target === 'llama.cpp' && weightsChange && ggufArchitecture(family) !== undefined;
}

/**
 * Types of blocks belong to a GGUF file, and bits to a plan that has some.
 * @throws TunerError `usage`
 */
export function assertGgufBlocks({ ggufBlocks, plan: file }: ApplyParams, asGguf: boolean, { quantize }: Plan): void {
  if (ggufBlocks === undefined) {
    return;
  }
  if (!asGguf) {
    throw new TunerError('usage', 'No GGUF file would be written, so there are no types to choose.', {
      place: '--gguf-blocks',
      wayOut: 'Leave it out, or write the target llama.cpp of a family whose GGUF files are written here.',
    });
  }
  if (ggufBlocks === 'k-quants' && quantize === undefined) {
    throw new TunerError('usage', 'The plan has no bits that k-quants could be chosen by.', {
      file,
      place: 'quantize',
      wayOut: 'Make the section with "quantize", for example --bits 4.',
    });
  }
}

/** A plan, the model it fits, and how it reaches the target. */
export interface GgufRequest extends PlannedExperts {
  readonly model: OpenModel;
  readonly chosen: ChosenDelivery;
}

/** Files beside the weights that licences ask for. */
const licences = /^(LICEN[CS]E|NOTICE|USE_POLICY|COPYRIGHT)/i;

/**
 * Writes the model as a plan leaves it as one GGUF file. What was written is read back before the folder gets its name.
 * @throws TunerError `unsupportedFeature`, `outputExists`, `malformedPlan`, `writeFailed`, `cancelled`
 */
export async function applyGguf(
  params: ApplyParams,
  { model, plan, experts, activeExperts, chosen }: GgufRequest,
  job: JobContext,
  options: Pick<WriteOptions, 'output'> = {},
): Promise<ApplyResult> {
  const start = performance.now();
  await assertAbsent(path.resolve(params.out));
  const { resolved, fingerprint } = model;
  const form = params.ggufBlocks ?? 'codes';
  const unrounded = { form, experts: () => undefined, others: 16 };
  // Refusals that need no weights come before any weight is computed.
  await planGguf(withActiveExperts(resolved.decoder(), activeExperts), resolved, unrounded);
  job.log('info', chosen.explanation);
  const planned = await openPlannedModel(
    model,
    { plan: params.plan, unrounded: form === 'k-quants', roundWhenUsed: true },
    job,
  );
  try {
    const decoder = withActiveExperts(planned.decoder(resolved.decoder()), activeExperts);
    const others = plan.quantize?.scope === 'all' ? (plan.quantize.others ?? 16) : 16;
    const gguf = await planGguf(decoder, resolved, { form, experts: bitsOf(plan, planned, params.plan), others });
    const provenance = { resolved, fingerprint, plan, target: params.target, delivery: chosen.delivery, activeExperts };
    const family = resolved.recognised.record.name;
    const types =
      plan.quantize === undefined || form === 'k-quants'
        ? undefined
        : tensorTypes(family, resolved.blocks, plan.quantize, gguf.file.name);
    const files: ArtefactFile[] = [
      { name: tuneFileName, text: tuneFileText(provenance) },
      { name: 'README.md', text: ggufCard(provenance, experts, gguf) },
      ...(types?.files ?? []),
      ...(await checkpointFiles(resolved.recognised.checkpoint)).filter(({ name }) => licences.test(name)),
      gguf.file,
    ];
    const { delivery, explanation } = chosen;
    const verify = (folder: string) => verifyGguf(folder, gguf, job);
    const notes = () => [explanation, ...gguf.notes, ...(types?.notes ?? [])];
    const applied = { params, model, delivery, activeExperts, experts, files, verify, notes, start };
    return await writeApplied(applied, job, options);
  } finally {
    await planned.dispose();
  }
}

/** The decoder with the plan's numbers of active experts in its blocks. */
function withActiveExperts(model: ModelSpec, activeExperts: readonly number[]): ModelSpec {
  const blocks = moeBlocks(model);
  return withBlocks(
    model,
    blocks.map((block, at) => ({ ...block, activeExperts: activeExperts[at]! })),
  );
}

/** Bits of the plan by decoder layer. */
function bitsOf(plan: Plan, { blocks }: PlannedModel, planFile: string) {
  if (plan.quantize === undefined) {
    return () => undefined;
  }
  const bits = plannedBits(plan.quantize.layers, blocks, planFile);
  const byLayer = new Map(blocks.map(({ layer }, position) => [layer, bits[position]!]));
  return (layer: number) => byLayer.get(layer);
}
