import { stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { chooseDelivery } from '../export/chooseDelivery';
import { dataFileName } from '../export/onnx/externalData';
import { modelFileName } from '../export/onnx/genaiConfig';
import { onnxCard } from '../export/onnx/onnxCard';
import { companionFiles, planOnnx, type PlannedOnnx } from '../export/onnx/planOnnx';
import { tuneFileName, tuneFileText } from '../export/provenance';
import type { ResolvedModel } from '../families/resolveModel';
import { exactPositions } from '../graph/export/rotaryAngles';
import { assertAbsent, type WriteOptions } from '../export/writeArtefact';
import { assertCacheAgrees } from '../measure/generationCheck';
import type { JobContext } from '../measure/jobContext';
import type { ApplyParams, ApplyResult } from '../protocol/apply';
import { trainedActiveExperts } from './activeExperts';
import { longestSequence } from './longestSequence';
import { openModel } from './openModel';
import { readPlan } from './planFile';
import { openPlannedModel } from './plannedModel';
import { writeApplied } from './writeApplied';

/** Share of the free memory that a written model may take to be run for a check; weights become float32 when it is loaded. */
const checkedShare = 0.5;
const float32Growth = 2;

/**
 * Writes the decoder as a plan leaves it as an ONNX model with a key/value cache, in the form that ONNX Runtime GenAI loads. What was
 * written is loaded and run before it gets its name, where it fits into memory.
 * @throws TunerError `unsupportedFeature`, `outputExists`, `malformedPlan`, `planForAnotherCheckpoint`, `writeFailed`, `cancelled`
 */
export async function applyOnnx(
  params: ApplyParams,
  job: JobContext,
  options: Pick<WriteOptions, 'output'> = {},
): Promise<ApplyResult> {
  const start = performance.now();
  const model = await openModel(params.checkpoint);
  const { resolved, fingerprint } = model;
  const { name, title } = resolved.recognised.record;
  const trained = trainedActiveExperts(model);
  const request = { target: params.target, family: { name, title }, activeExperts: trained };
  const { explanation } = chooseDelivery({ ...request, configKey: resolved.configKeys.activeExperts });
  await assertAbsent(path.resolve(params.out));
  const planned = await openPlannedModel(model, { plan: params.plan }, job);
  try {
    job.log('info', explanation);
    const plan = await readPlan(params.plan);
    const { activeExperts } = planned;
    const provenance = {
      resolved,
      fingerprint,
      plan,
      target: params.target,
      delivery: 'graph' as const,
      activeExperts,
    };
    const onnx = planOnnx(planned.decoder(resolved.decoder()), resolved, activeExperts);
    const files = [
      { name: tuneFileName, text: tuneFileText(provenance) },
      { name: 'README.md', text: onnxCard(provenance, planned.blocks, onnx) },
      ...(await companionFiles(resolved)),
      ...onnx.files,
    ];
    const verification = { ran: false };
    const verify = async (folder: string) => {
      verification.ran = await check(folder, job);
    };
    const notes = () => [
      explanation,
      ...formNotes(onnx),
      ...lengthNotes(resolved),
      ...(verification.ran ? [] : [uncheckedNote]),
    ];
    const applied = { params, model, delivery: 'graph' as const, activeExperts, files, verify, notes, start };
    return await writeApplied(applied, job, options);
  } finally {
    await planned.dispose();
  }
}

/** @returns whether the model was run; one that is too large for this machine's memory is not */
async function check(folder: string, job: JobContext): Promise<boolean> {
  const { size } = await stat(path.join(folder, dataFileName));
  if (size * float32Growth > os.freemem() * checkedShare) {
    return false;
  }
  await assertCacheAgrees(path.join(folder, modelFileName), job);
  return true;
}

const uncheckedNote =
  'The model is too large for the free memory of this machine: it was written, but not loaded and run for a check.';

/** What a cache cannot follow: see {@link exactPositions}. */
function lengthNotes(resolved: ResolvedModel): string[] {
  const stated = resolved.recognised.config.optionalInteger(resolved.recognised.keys.maxPositions)?.value;
  const scaled = resolved.decoder().layers.some(({ mixer }) => {
    return (
      mixer.kind !== 'short-convolution' && mixer.rotary !== undefined && exactPositions(mixer.rotary) !== Infinity
    );
  });
  return scaled
    ? [
        `The rotary frequencies of this model change with the length of the text past ${longestSequence(resolved)} tokens${stated === undefined ? '' : ` (it states ${stated} positions)`}; keys in a cache cannot follow, so genai_config.json states that many as the context length.`,
      ]
    : [];
}

function formNotes({ branchedLayers }: PlannedOnnx): string[] {
  return branchedLayers.length === 0
    ? []
    : [
        `The experts of ${branchedLayers.length === 1 ? 'layer' : 'layers'} ${branchedLayers.join(', ')} are branches of plain operators, because the MoE operator of ONNX Runtime does not compute them exactly.`,
      ];
}
