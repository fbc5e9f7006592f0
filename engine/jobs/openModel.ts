import { checkpointFingerprint } from '../checkpoint/fingerprint';
import { openCheckpoint } from '../checkpoint/openCheckpoint';
import type { Checkpoint } from '../checkpoint/types';
import { resolveModel, type ResolvedModel } from '../families/resolveModel';
import { specTensors } from '../families/specTensors';
import { tunedActiveExperts } from '../families/tunedActiveExperts';
import { tunedWeightsKey } from '../families/tunedWeights';
import type { PlanTarget } from './planFile';
import { ResultCache } from './resultCache';

/** A checkpoint that is open, recognised and identified. */
export interface OpenModel {
  readonly checkpoint: Checkpoint;
  readonly resolved: ResolvedModel;
  readonly fingerprint: string;
  /**
   * Under which finished results are kept: the fingerprint, except for checkpoints that this program wrote, which can have the
   * fingerprint of their original while their quality is another.
   */
  readonly resultsKey: string;
}

/** Opens a checkpoint folder and applies its family: headers and samples of the routers only. */
export async function openModel(folder: string): Promise<OpenModel> {
  const checkpoint = await openCheckpoint(folder);
  const resolved = resolveModel(checkpoint);
  const routers = resolved.blocks.flatMap(({ router }) => specTensors(router.weight));
  const fingerprint = await checkpointFingerprint(checkpoint, routers);
  const tuned = tunedActiveExperts(resolved.recognised);
  const weights = resolved.recognised.config.raw(tunedWeightsKey);
  const resultsKey =
    tuned === undefined && weights === undefined
      ? fingerprint
      : ResultCache.key([fingerprint, tuned?.value, ...(weights === undefined ? [] : [weights])]);
  return { checkpoint, resolved, fingerprint, resultsKey };
}

/** What a plan has to agree with to be used on this model. */
export function planTarget({ resolved, fingerprint }: OpenModel): PlanTarget {
  return {
    family: resolved.recognised.record.name,
    fingerprint,
    moeLayers: resolved.blocks.map(({ layer }) => layer),
    expertsPerLayer: resolved.blocks.map(({ experts }) => experts.length),
  };
}
