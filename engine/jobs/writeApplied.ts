import path from 'node:path';
import { predictedBytes, type ArtefactFile } from '../export/artefactFiles';
import { writeArtefact, type WriteOptions, type WrittenArtefact } from '../export/writeArtefact';
import type { JobContext } from '../measure/jobContext';
import type { ApplyParams, ApplyResult } from '../protocol/apply';
import type { OpenModel } from './openModel';

/** An artefact that is ready to be written, and what is said of it. */
export interface AppliedArtefact {
  readonly params: ApplyParams;
  readonly model: Pick<OpenModel, 'checkpoint' | 'fingerprint'>;
  readonly delivery: ApplyResult['delivery'];
  readonly activeExperts: readonly number[];
  /** Experts per MoE layer, where the target stores fewer or other ones. */
  readonly experts?: readonly (readonly unknown[])[] | undefined;
  readonly files: readonly ArtefactFile[];
  /** Looks at the folder before it gets its name. */
  readonly verify: (folder: string) => Promise<void>;
  /** What a person should know of it, once it is written. */
  readonly notes: (written: WrittenArtefact) => readonly string[];
  /** When the job began, by `performance.now()`. */
  readonly start: number;
}

/**
 * Writes an artefact at its place, complete or not at all, and reports it.
 * @throws TunerError `outputExists`, `writeFailed`, `cancelled`, and what the verification throws
 */
export async function writeApplied(
  { params, model, delivery, activeExperts, experts, files, verify, notes, start }: AppliedArtefact,
  job: JobContext,
  options: Pick<WriteOptions, 'output'>,
): Promise<ApplyResult> {
  const out = path.resolve(params.out);
  const predicted = files.reduce((sum, file) => sum + predictedBytes(file), 0);
  const written = await writeArtefact(out, files, { job, verify, ...options });
  job.progress(1, 'Done');
  return {
    checkpoint: model.checkpoint.folder,
    fingerprint: model.fingerprint,
    plan: path.resolve(params.plan),
    target: params.target,
    out,
    delivery,
    activeExperts: [...activeExperts],
    ...(experts === undefined ? {} : { experts: experts.map(({ length }) => length) }),
    files: [...written.files],
    bytes: written.bytes,
    predictedBytes: predicted,
    notes: [...notes(written)],
    seconds: (performance.now() - start) / 1000,
  };
}
