import { TunerError } from '../../protocol/errors';
import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';
import { rowNorms } from './routerNorm';

/** Changes below this share of the mean norm are rounding, not training. */
const noise = 1e-6;

/**
 * Growth of the router rows in fine-tuning: S_e = ‖W_r,e of the model‖ - ‖W_r,e of its base‖ (arXiv 2405.16646). Signed: rows that
 * shrink go first. The layer's median is subtracted, since weight decay moves all norms alike.
 */
export const routerChange: PruneMethodOf<'base'> = {
  name: 'router-change',
  title: 'Router change in fine-tuning',
  explanation: 'Needs no text but the base checkpoint: keeps the experts whose router rows grew in fine-tuning.',
  source: 'arXiv 2405.16646',
  needs: 'base',
  async rank(layer) {
    const after = rowNorms(await layer.routerRows(), layer.experts);
    const before = rowNorms(await layer.baseRouterRows(), layer.experts);
    const changes = after.map((norm, expert) => norm - before[expert]!);
    const scale = before.reduce((sum, norm) => sum + norm, 0) / layer.experts;
    if (changes.every((change) => Math.abs(change) <= noise * scale)) {
      throw new TunerError(
        'usage',
        `The router of decoder layer ${layer.index} has the same norms in both checkpoints, so nothing tells its experts apart.`,
        {
          place: '--base',
          wayOut: 'Give the checkpoint that this one was fine-tuned from, or choose another method, for example aimer.',
        },
      );
    }
    const middle = median(changes);
    return ranking(changes.map((change) => change - middle));
  },
};

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const half = sorted.length / 2;
  return (sorted[Math.floor(half)]! + sorted[Math.ceil(half) - 1]!) / 2;
}
