import type { MoeBlockSpec } from '../families/specification';
import { superExperts } from '../methods/prune/superExperts';
import type { PrunableLayer } from '../methods/prune/keptCounts';
import type { CalibrationStatistics } from '../methods/statistics';
import { TunerError } from '../protocol/errors';
import type { OpenModel } from './openModel';

/** Families whose experts cannot go, with the reason. */
const unprunable: Readonly<Record<string, string>> = {
  jetmoe:
    'JetMoE counts its attention experts and its feed-forward experts with one number, and the attention experts cannot go',
};

/** @throws TunerError `unsupportedFeature` for families whose experts cannot go */
export function assertPrunable({ resolved, checkpoint }: OpenModel): void {
  const reason = unprunable[resolved.recognised.record.name];
  if (reason !== undefined) {
    throw new TunerError('unsupportedFeature', `${reason}.`, {
      file: checkpoint.configFile,
      wayOut: 'Lower the number of active experts instead, or quantize the weights.',
    });
  }
}

/** Bounds of every MoE layer; experts with extreme activations are pinned where calibration measured them. */
export function prunableLayers(
  blocks: readonly MoeBlockSpec[],
  statistics: CalibrationStatistics | undefined,
  pinSuperExperts: boolean,
): PrunableLayer[] {
  const pinned = statistics === undefined || !pinSuperExperts ? undefined : superExperts(statistics);
  return blocks.map(({ layer, experts, activeExperts, router }, position) => ({
    index: layer,
    experts: experts.length,
    activeExperts,
    groups:
      router.groups === undefined
        ? undefined
        : {
            count: router.groups.count,
            kept: router.groups.kept,
            least: router.groups.score === 'top2-sum' ? 2 : 1,
          },
    pinned: pinned?.[position] ?? new Set<number>(),
  }));
}
