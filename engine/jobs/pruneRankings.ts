import type { MoeBlockSpec } from '../families/specification';
import { specLinears } from '../families/specLinears';
import { BlockReconstruction, reconstructionTokens } from '../measure/blockReconstruction';
import type { JobContext } from '../measure/jobContext';
import type { LayerFacts, LayerRanking, PruneMethod, WeighedLayer } from '../methods/prune/method';
import { selectPairs, selectSums } from '../methods/prune/selectSums';
import type { CalibrationStatistics, InputSample } from '../methods/statistics';
import { TunerError } from '../protocol/errors';
import { decodeStoredWeight } from '../transform/decodeWeight';
import type { RuntimeOptions } from '../runtime/session';

/** What the methods of one run may read. */
export interface RankingSources {
  readonly blocks: readonly MoeBlockSpec[];
  readonly statistics: CalibrationStatistics | undefined;
  /** Tags of the statistics to rank by; all texts when empty. */
  readonly tags: readonly string[];
  /** Blocks of the checkpoint that the model was fine-tuned from. */
  readonly baseBlocks: readonly MoeBlockSpec[] | undefined;
  readonly runtime: RuntimeOptions;
  readonly job: JobContext;
}

/**
 * The ranking of one MoE layer by one method. What it holds in memory lives as long as the ranking does.
 * @throws TunerError `usage` where something the method needs was not given, or gives no signal
 */
export async function rankLayer(
  method: PruneMethod,
  position: number,
  sources: RankingSources,
  seed: number,
): Promise<LayerRanking> {
  const block = sources.blocks[position]!;
  const facts: LayerFacts = { index: block.layer, experts: block.experts.length };
  switch (method.needs) {
    case 'nothing':
      return method.rank(facts, seed);
    case 'weights':
      return method.rank(weighedLayer(block), seed);
    case 'base': {
      const base = sources.baseBlocks?.[position];
      if (base === undefined) {
        throw new TunerError('usage', `The method "${method.name}" compares with the checkpoint before fine-tuning.`, {
          place: '--base',
          wayOut: 'Give the folder of that checkpoint with --base.',
        });
      }
      return method.rank(
        { ...weighedLayer(block), baseRouterRows: () => decodeStoredWeight(base.router.weight) },
        seed,
      );
    }
    case 'statistics': {
      const statistics = statisticsOf(method, position, sources);
      const sums = selectSums(statistics, sources.tags);
      const pairs = selectPairs(statistics, sources.tags);
      return method.rank({ ...facts, statistics, sums, pairs, allTexts: sources.tags.length === 0 }, seed);
    }
    case 'reconstruction': {
      const { sample } = statisticsOf(method, position, sources);
      const inputs = sampledInputs(sample, block, sources);
      const reconstruction = await BlockReconstruction.create(block, inputs, sources.runtime, sources.job);
      return method.rank({ ...facts, loss: (keep) => reconstruction.loss(keep) }, seed);
    }
  }
}

function statisticsOf(method: PruneMethod, position: number, { statistics }: RankingSources) {
  const layer = statistics?.layers[position];
  if (layer === undefined) {
    throw needsText(method.name);
  }
  return layer;
}

/** The error of a method that needs calibration when there is none. */
export function needsText(method: string): TunerError {
  return new TunerError('usage', `The method "${method}" needs to know what the experts do on text.`, {
    place: '--text, --stats',
    wayOut:
      'Give text files with --text or the statistics of an earlier calibration with --stats, or choose a method that needs none: aimer, stun, weight-norm, router-norm.',
  });
}

function weighedLayer(block: MoeBlockSpec): WeighedLayer {
  return {
    index: block.layer,
    experts: block.experts.length,
    hiddenSize: block.hiddenSize,
    routerRows: () => decodeStoredWeight(block.router.weight),
    expertWeights: (expert) =>
      Promise.all(specLinears(block.experts[expert]!).map(({ weight }) => decodeStoredWeight(weight))),
  };
}

/** Inputs of the chosen tags, evenly thinned to what reconstruction can hold. */
function sampledInputs(sample: InputSample, block: MoeBlockSpec, { statistics, tags }: RankingSources): Float32Array {
  const wanted = new Set(tags.map((tag) => statistics!.tags.indexOf(tag)));
  const rows = Array.from({ length: sample.tokens }, (_, row) => row).filter(
    (row) => wanted.size === 0 || wanted.has(sample.tags[row]!),
  );
  if (rows.length === 0) {
    throw new TunerError('usage', 'No token of the chosen task was kept by the calibration.', {
      place: '--task',
      wayOut: 'Calibrate on text of this task alone.',
    });
  }
  const count = reconstructionTokens(block, rows.length);
  const { hiddenSize } = block;
  const inputs = new Float32Array(count * hiddenSize);
  for (let at = 0; at < count; at += 1) {
    const row = rows[Math.floor(((at + 0.5) * rows.length) / count)]!;
    inputs.set(sample.inputs.subarray(row * hiddenSize, (row + 1) * hiddenSize), at * hiddenSize);
  }
  return inputs;
}
