import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { fileAccessError, nonBlockingRead } from '../checkpoint/textFile';
import { readStatistics } from '../measure/calibration/statisticsFile';
import type { CalibrationStatistics } from '../methods/statistics';
import { TunerError } from '../protocol/errors';
import type { TransformContext } from './stage';

/** Sections of a plan that may read a statistics file again whenever the plan is used. */
type ReadingSection = 'prune' | 'merge';

/** Statistics that the layers of one run read, so that each file is hashed and read once. */
const opened = new WeakMap<TransformContext, Map<ReadingSection, Promise<CalibrationStatistics>>>();

/**
 * The statistics file that a section of a plan names, beside the plan, by its hash.
 * @throws TunerError `fileNotFound`, `malformedPlan` where the file is not the one the plan was made from
 */
export function plannedStatistics(
  section: ReadingSection,
  named: { readonly statisticsFile?: string | undefined; readonly statistics?: string | undefined },
  context: TransformContext,
): Promise<CalibrationStatistics> {
  const known = opened.get(context) ?? new Map<ReadingSection, Promise<CalibrationStatistics>>();
  opened.set(context, known);
  const found =
    known.get(section) ?? openStatistics(section, named.statisticsFile!, named.statistics, context.planFile);
  known.set(section, found);
  return found;
}

async function openStatistics(
  section: ReadingSection,
  statisticsFile: string,
  hash: string | undefined,
  planFile: string,
): Promise<CalibrationStatistics> {
  const file = path.resolve(path.dirname(planFile), statisticsFile);
  const found = await fileHash(file).catch((error: unknown) => {
    throw withWayOut(error, section, planFile);
  });
  if (found !== hash) {
    throw new TunerError('malformedPlan', `The statistics in ${file} are not those the plan was made from.`, {
      file: planFile,
      place: `${section}.statistics`,
      wayOut: `Restore the statistics file, or let ${section} write this section anew.`,
    });
  }
  return (await readStatistics(file)).statistics;
}

function withWayOut(error: unknown, section: ReadingSection, planFile: string): unknown {
  return TunerError.is(error, 'fileNotFound')
    ? new TunerError(error.code, error.message, {
        ...error.details,
        wayOut: `The section "${section}" of ${planFile} reads this file: restore it, or let ${section} write the section anew.`,
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
