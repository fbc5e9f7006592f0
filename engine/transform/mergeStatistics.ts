import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { fileAccessError, nonBlockingRead } from '../checkpoint/textFile';
import type { MoeBlockSpec } from '../families/specification';
import { readStatistics } from '../measure/calibration/statisticsFile';
import type { CalibrationStatistics } from '../methods/statistics';
import { TunerError } from '../protocol/errors';
import type { PlanMerge } from '../protocol/plan';
import type { MergeSamples } from './mergeGroup';
import { denseGates } from './mergeRuns';
import type { TransformContext } from './stage';

/** Statistics that the layers of one run read, so that the file is hashed and read once. */
const opened = new WeakMap<TransformContext, Promise<CalibrationStatistics>>();

/**
 * Block inputs kept in the statistics file that a plan names, and the router's gates for them.
 * @throws TunerError `fileNotFound`, `malformedPlan` where the file is not the one the plan was made from
 */
export async function mergeSamples(
  block: MoeBlockSpec,
  merge: PlanMerge,
  context: TransformContext,
): Promise<MergeSamples> {
  const found = opened.get(context) ?? openStatistics(merge, context.planFile);
  opened.set(context, found);
  const layer = (await found).layers.find(({ index }) => index === block.layer);
  if (layer?.hiddenSize !== block.hiddenSize || layer.sample.tokens === 0) {
    throw new TunerError('malformedPlan', `The statistics hold no inputs of decoder layer ${block.layer}.`, {
      file: context.planFile,
      place: 'merge.statisticsFile',
      wayOut: 'Let merge write this section anew.',
    });
  }
  const { inputs } = layer.sample;
  return { inputs, gates: await denseGates(block, inputs, context.job) };
}

async function openStatistics(merge: PlanMerge, planFile: string): Promise<CalibrationStatistics> {
  const file = path.resolve(path.dirname(planFile), merge.statisticsFile!);
  const found = await fileHash(file).catch((error: unknown) => {
    throw withWayOut(error, planFile);
  });
  if (found !== merge.statistics) {
    throw new TunerError('malformedPlan', `The statistics in ${file} are not those the plan was made from.`, {
      file: planFile,
      place: 'merge.statistics',
      wayOut: 'Restore the statistics file, or let merge write this section anew.',
    });
  }
  return (await readStatistics(file)).statistics;
}

function withWayOut(error: unknown, planFile: string): unknown {
  return TunerError.is(error, 'fileNotFound')
    ? new TunerError(error.code, error.message, {
        ...error.details,
        wayOut: `${planFile} merges by the inputs in this file: restore it, or let merge write the section anew.`,
      })
    : error;
}

/** SHA-256 (hex) of a whole file. @throws TunerError `fileNotFound` */
export async function fileHash(file: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    const handle = await open(file, nonBlockingRead);
    try {
      for await (const chunk of handle.createReadStream({ autoClose: false })) {
        hash.update(chunk as Buffer);
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileAccessError(error, file);
  }
  return hash.digest('hex');
}
