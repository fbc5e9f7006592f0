import { defaultRankingTokens } from '../protocol/calibration';

/**
 * Most tokens of a calibration whose only use is to rank experts: what the person said, else a number that suffices. Shared evenly over the
 * datasets, so that none rules the ranking by being long; all tokens where the person chose a number of windows.
 */
export function rankingTokens(params: {
  readonly tokens?: number | undefined;
  readonly windows?: number | undefined;
}): number | undefined {
  return params.tokens ?? (params.windows === undefined ? defaultRankingTokens : undefined);
}
