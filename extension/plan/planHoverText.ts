import type { CheckpointEntry } from '../config/checkpointStore';
import { isProfileStale } from '../config/staleness';
import { formatNumber, formatPercent } from '../common/format';
import { localize } from '../common/localize';

/**
 * What one number of `activeExperts` means: the decoder layer it belongs to and what the profile measured there.
 *
 * @param position place in the list, that is the MoE layer counted from 0
 * @param budget active experts that the plan gives this layer
 */
export function planEntryMarkdown(position: number, budget: number, checkpoint: CheckpointEntry): string | undefined {
  const { summary, profile } = checkpoint;
  const layer = summary?.layers.filter(({ moe }) => moe)[position];
  if (layer === undefined) {
    return undefined;
  }
  const lines = [
    localize('**Decoder layer {layer}**: {budget} of {active} active experts, {experts} in all', {
      layer: layer.index,
      budget,
      active: layer.active,
      experts: layer.experts,
    }),
  ];
  const measured = profile?.layers.find(({ index }) => index === layer.index);
  const raw = measured?.raw[budget - 1];
  const relative = measured?.relativeSquared[budget - 1];
  if (profile !== undefined && raw !== undefined && relative !== undefined) {
    lines.push(
      localize('Sensitivity at k={budget}: {raw} per token (relative squared error {relative})', {
        budget,
        raw: formatNumber(raw),
        relative: formatPercent(relative),
      }),
    );
    if (isProfileStale(profile, summary)) {
      lines.push(localize('_Stale: measured before the checkpoint changed._'));
    }
  } else {
    lines.push(localize('Not profiled yet.'));
  }
  return lines.join('\n\n');
}
