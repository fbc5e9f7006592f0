import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { predictedBytes, type ArtefactFile } from '../export/artefactFiles';
import { writeArtefact, type WriteOptions } from '../export/writeArtefact';
import type { JobContext } from '../measure/jobContext';
import { changeActiveExperts } from '../onnxModel/changeActiveExperts';
import { assertFittingNumbers } from '../onnxModel/fittingNumbers';
import { openOnnxModel, type OnnxModel } from '../onnxModel/openOnnxModel';
import { replaceModel } from '../onnxModel/replaceModel';
import type { ApplyParams, ApplyResult } from '../protocol/apply';
import { TunerError } from '../protocol/errors';
import type { Plan } from '../protocol/plan';
import { onnxFingerprint } from './inspectOnnx';
import { readPlan } from './planFile';

/** Sections of a plan that change weights, which an exported model has no longer apart. */
const weightSections = ['prune', 'merge', 'quantize', 'gates'] as const;

/**
 * Gives the MoE operators of an existing ONNX model the active experts of a plan. Into another folder, weights are shared with the
 * original; into the model's own folder, its model file is replaced at once.
 * @throws TunerError `malformedPlan`, `unsupportedFeature`, `notMixtureOfExperts`, `outputExists`, `writeFailed`
 */
export async function applyToOnnxModel(
  params: ApplyParams,
  job: JobContext,
  options: Pick<WriteOptions, 'output'> = {},
): Promise<ApplyResult> {
  const start = performance.now();
  const opened = await openOnnxModel(params.checkpoint);
  const planFile = path.resolve(params.plan);
  const activeExperts = fittingNumbers(await readPlan(planFile), opened, planFile);
  const out = path.resolve(params.out);
  const changed = changeActiveExperts(opened.model, opened.operators, activeExperts, opened.modelFile);
  const inPlace = out === opened.folder;
  const files = inPlace
    ? [{ name: path.basename(opened.modelFile), bytes: (await replaceModel(opened.modelFile, opened.model)).bytes }]
    : await writeBeside(out, opened, toBinary(ModelProtoSchema, opened.model), { job, ...options });
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  job.progress(1, 'Done');
  return {
    checkpoint: opened.folder,
    fingerprint: onnxFingerprint(opened),
    plan: planFile,
    target: params.target,
    out,
    delivery: 'graph',
    activeExperts: [...activeExperts],
    files: [...files],
    bytes: total,
    predictedBytes: total,
    notes: [
      `${changed} of ${opened.operators.length} MoE operators have another number of active experts.`,
      ...(inPlace
        ? [
            `The model file was replaced; its weights were not touched. As it was it is kept as ${path.basename(opened.modelFile)}.original.`,
          ]
        : []),
    ],
    seconds: (performance.now() - start) / 1000,
  };
}

/** @throws TunerError `malformedPlan`, `unsupportedFeature` */
function fittingNumbers(plan: Plan, opened: OnnxModel, file: string): readonly number[] {
  const section = weightSections.find((name) => plan[name] !== undefined);
  if (section !== undefined) {
    throw new TunerError('unsupportedFeature', 'An ONNX model takes other active experts only: its weights stay.', {
      file,
      place: section,
      wayOut: 'Apply the plan to the original checkpoint with --target onnx.',
    });
  }
  const { activeExperts } = plan;
  assertFittingNumbers(activeExperts, opened, { code: 'malformedPlan', file });
  return activeExperts;
}

async function writeBeside(
  out: string,
  { folder, modelFile }: OnnxModel,
  bytes: Uint8Array,
  options: Pick<WriteOptions, 'job' | 'output'>,
): Promise<readonly { name: string; bytes: number }[]> {
  const name = path.basename(modelFile);
  const files: ArtefactFile[] = [{ name, bytes: bytes.byteLength, stream: (handle) => handle.writeFile(bytes) }];
  for (const other of (await readdir(folder)).sort()) {
    const source = await realpath(path.join(folder, other));
    const state = await stat(source);
    if (other !== name && state.isFile()) {
      files.push({ name: other, source, bytes: state.size, shares: /\.(data|onnx_data|bin)$/.test(other) });
    }
  }
  const verify = async (written: string) => {
    await openOnnxModel(written);
  };
  const written = await writeArtefact(out, files, { ...options, verify });
  if (written.bytes !== files.reduce((sum, file) => sum + predictedBytes(file), 0)) {
    throw new TunerError('internal', 'The written bytes are not the predicted ones.', { file: out });
  }
  return written.files;
}
