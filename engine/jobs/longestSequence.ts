import type { ResolvedModel } from '../families/resolveModel';
import { exactPositions } from '../graph/export/rotaryAngles';

/** Most tokens of a sequence that a decoder with a cache computes exactly: those the model has, and those its cache agrees on. */
export function longestSequence(resolved: ResolvedModel): number {
  const { config, keys } = resolved.recognised;
  const stated = config.optionalInteger(keys.maxPositions)?.value ?? Infinity;
  return Math.min(
    stated,
    ...resolved
      .decoder()
      .layers.map(({ mixer }) =>
        mixer.kind === 'short-convolution' || mixer.rotary === undefined ? Infinity : exactPositions(mixer.rotary),
      ),
  );
}
