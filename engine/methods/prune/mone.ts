import { TunerError } from '../../protocol/errors';
import type { LayerStatistics } from '../statistics';
import { ranking } from './keepBest';
import type { PruneMethodOf } from './method';

/**
 * Experts that a constant can stand for (MoNE, arXiv 2507.00390): S_e = mean gate · ‖std of f_e‖, the mean over all tokens with 0 where
 * the expert was not chosen, so that it holds the frequency, the standard deviation per channel over the tokens that chose it. An expert
 * that always says the same scores 0, however often it is chosen: made for `--replacement constant`.
 */
export const mone: PruneMethodOf<'statistics'> = {
  name: 'mone',
  title: 'Frequency times output variance (MoNE)',
  explanation: 'Lets experts go that are chosen rarely or always say the same; made for constants in their place.',
  source: 'arXiv 2507.00390',
  needs: 'statistics',
  rank({ statistics, sums: { gates, tokens }, allTexts }) {
    if (!allTexts) {
      throw new TunerError(
        'usage',
        'The method "mone" compares outputs with their mean, which is not kept task by task.',
        {
          place: '--task',
          wayOut: 'Give text of the task alone with --text, or choose a method such as reap, ean or tcess.',
        },
      );
    }
    const deviations = outputDeviations(statistics);
    return ranking(gates.map((sum, expert) => (tokens > 0 ? (sum / tokens) * deviations[expert]! : 0)));
  },
};

/** ‖std of f_e‖ = sqrt(mean ‖f‖² - ‖mean f‖²) over the tokens that chose each expert; 0 where none did. */
export function outputDeviations({
  outputSums,
  total: { counts, outputNormSquares },
  hiddenSize,
}: Pick<LayerStatistics, 'outputSums' | 'total' | 'hiddenSize'>): Float64Array {
  return counts.map((count, expert) => {
    if (count === 0) {
      return 0;
    }
    const sums = outputSums.subarray(expert * hiddenSize, (expert + 1) * hiddenSize);
    const squaredMean = sums.reduce((total, sum) => total + (sum / count) ** 2, 0);
    return Math.sqrt(Math.max(0, outputNormSquares[expert]! / count - squaredMean));
  });
}
