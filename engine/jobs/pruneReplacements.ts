import { createHash } from 'node:crypto';
import path from 'node:path';
import type { MoeBlockSpec } from '../families/specification';
import { writeStatistics } from '../measure/calibration/statisticsFile';
import { planFileSuffix } from '../protocol/plan';
import type { PruneParams } from '../protocol/pruning';
import { fileHash } from '../transform/plannedStatistics';
import { meanOutputs, replacedExperts } from '../transform/replacedExperts';
import type { ScratchWeights } from '../transform/scratchWeights';
import type { Replacements } from './pruneMeasurements';
import type { PruneStatistics } from './pruneStatistics';

/**
 * What stands for experts that go, ready to be measured; undefined where their router rows go too.
 * @throws TunerError `writeFailed`
 */
export async function pruneReplacements(
  { replacement }: PruneParams,
  blocks: readonly MoeBlockSpec[],
  known: PruneStatistics | undefined,
  scratch: ScratchWeights,
): Promise<Replacements | undefined> {
  if (replacement === 'none') {
    return undefined;
  }
  const hash = createHash('sha256').update(replacement);
  const layers = [];
  for (const [position, block] of blocks.entries()) {
    const constants = replacement === 'constant' ? meanOutputs(known!.statistics.layers[position]!) : undefined;
    hash.update(constants ?? new Float32Array());
    layers.push(await replacedExperts(block, constants, scratch));
  }
  return { layers, key: hash.digest('hex') };
}

/** A statistics file that a plan names, from the folder of the plan. */
export interface NamedStatistics {
  readonly statisticsFile: string;
  readonly statistics: string;
}

/**
 * The statistics that constants of a plan are taken from whenever it is used: the file that was given, else one beside the plan,
 * `NAME.constants.safetensors`, because a calibration in the cache does not last.
 * @throws TunerError `writeFailed`
 */
export async function constantsFile(
  plan: string,
  stats: string | undefined,
  known: PruneStatistics,
): Promise<NamedStatistics> {
  const folder = path.dirname(plan);
  if (stats !== undefined) {
    return { statisticsFile: path.relative(folder, path.resolve(stats)), statistics: known.hash! };
  }
  const stem = plan.endsWith(planFileSuffix) ? plan.slice(0, -planFileSuffix.length) : plan.replace(/\.json$/, '');
  const file = `${stem}.constants.safetensors`;
  await writeStatistics(file, known.collected);
  return { statisticsFile: path.relative(folder, file), statistics: await fileHash(file) };
}
