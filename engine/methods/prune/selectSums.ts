import { TunerError } from '../../protocol/errors';
import {
  expertSumNames,
  pairSumNames,
  type CalibrationStatistics,
  type ExpertSums,
  type LayerStatistics,
  type PairSums,
} from '../statistics';
import { tcessPattern } from './tcess';

/**
 * Sums of a layer over the chosen tags; over all texts where none is chosen.
 * @param tags names of {@link CalibrationStatistics.tags}, each once
 */
export function selectSums({ total, byTag }: LayerStatistics, tags: readonly string[]): ExpertSums {
  if (tags.length === 0) {
    return total;
  }
  const chosen = byTag.filter(({ tag }) => tags.includes(tag));
  const vectors = Object.fromEntries(
    expertSumNames.map((name) => [
      name,
      total[name].map((_, expert) => chosen.reduce((sum, own) => sum + own[name][expert]!, 0)),
    ]),
  ) as Record<(typeof expertSumNames)[number], Float64Array>;
  return { tokens: chosen.reduce((sum, { tokens }) => sum + tokens, 0), ...vectors };
}

/**
 * Sums over pairs of experts over the chosen tags; over all texts where none, or the only one, is chosen. Undefined where the calibration
 * kept them for all texts alone.
 */
export function selectPairs(layer: LayerStatistics, tags: readonly string[]): PairSums | undefined {
  const { byTag, pairsByTag } = layer;
  if (tags.length === 0 || byTag.every(({ tag }) => tags.includes(tag))) {
    return layer;
  }
  const chosen = pairsByTag?.filter((_, at) => tags.includes(byTag[at]!.tag));
  return (
    chosen &&
    (Object.fromEntries(
      pairSumNames.map((name) => [
        name,
        layer[name].map((_, at) => chosen.reduce((sum, own) => sum + own[name][at]!, 0)),
      ]),
    ) as Record<(typeof pairSumNames)[number], Float64Array>)
  );
}

/** @throws TunerError `usage` where a tag is not in the statistics */
export function assertTags({ tags }: Pick<CalibrationStatistics, 'tags'>, wanted: readonly string[]): void {
  const unknown = wanted.find((tag) => !tags.includes(tag));
  if (unknown !== undefined) {
    throw new TunerError('usage', `The calibration knows no task or domain "${unknown}".`, {
      place: '--task',
      wayOut: `Known are: ${tags.join(', ')}.`,
    });
  }
}

/**
 * Retrieval of PreMoe (arXiv 2505.17639): the stored task whose pattern in the first MoE layer is nearest to that of a query, by Euclidean
 * distance. The pattern of a stored task itself is found at distance 0.
 * @param query the first MoE layer of the query's statistics
 */
export function nearestTask(
  stored: Pick<CalibrationStatistics, 'layers'>,
  query: Pick<LayerStatistics, 'total'>,
): { readonly task: string; readonly distance: number } {
  const pattern = tcessPattern(query.total);
  const distances = stored.layers[0]!.byTag.filter(({ tokens }) => tokens > 0).map((sums) => {
    const own = tcessPattern(sums);
    return { task: sums.tag, distance: Math.hypot(...own.map((value, expert) => value - pattern[expert]!)) };
  });
  return distances.reduce((best, candidate) => (candidate.distance < best.distance ? candidate : best));
}
