import type { LayerStatistics } from '../statistics';
import { cosinesOf } from './hierarchicalClustering';
import { byScore, type MergeMethod } from './method';

/** Most members of one group (REAM's C). */
const largestGroup = 16;

/**
 * REAM (arXiv 2604.04356): the most salient experts (REAP's score) are centroids; in order of their saliency each takes the nearest
 * experts that are left until its group is full, so that most centroids stay as they are. Near means similar in outputs over all
 * tokens and in router scores over the tokens (mean of both cosines). Averaged by saliency after matching channels by what they do.
 */
export const ream: MergeMethod = {
  name: 'ream',
  title: 'REAM',
  explanation: 'The most salient experts absorb the nearest others in turn; most of them stay untouched.',
  source: 'arXiv 2604.04356',
  needs: 'dense-outputs',
  defaults: { alignment: 'activations' },
  group(layer, { experts, count }) {
    const gates = cosinesOf(layer.probabilityProducts, layer.experts);
    const similarity = (first: number, second: number) => {
      const at = first * layer.experts + second;
      return (layer.dense!.cosines[at]! + gates[at]!) / 2;
    };
    const ordered = byScore(experts, saliency(layer));
    const groups = ordered.slice(0, count).map((centroid) => [centroid]);
    let rest = ordered.slice(count);
    // A second round only where full groups are too few for the experts: then groups must grow beyond the bound.
    for (let capacity = largestGroup; rest.length > 0; capacity += largestGroup) {
      for (const group of groups) {
        const nearest = [...rest].sort(
          (left, right) => similarity(group[0]!, right) - similarity(group[0]!, left) || left - right,
        );
        group.push(...nearest.slice(0, Math.max(0, capacity - group.length)));
        rest = rest.filter((expert) => !group.includes(expert));
      }
    }
    return groups;
  },
  weights: saliency,
};

/** REAP's score (arXiv 2510.13999): mean of g‖f‖ over the tokens that chose the expert; 0 where none did. */
function saliency({ total }: LayerStatistics): Float64Array {
  return total.contributionNorms.map((sum, expert) => (total.counts[expert]! > 0 ? sum / total.counts[expert]! : 0));
}
