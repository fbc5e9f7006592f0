import type { MoeBlockSpec } from '../families/specification';
import type { PrunableLayer } from '../methods/prune/keptCounts';
import type { CalibrationStatistics } from '../methods/statistics';
import type { MergeParams, ResolvedMergeOptions } from '../protocol/merging';
import type { MeasuredMerge } from './mergeCandidates';

/** What a person should know about a choice of groups, one sentence each. */
export function mergeNotes(
  { ratio, ragged }: MergeParams,
  options: ResolvedMergeOptions,
  layers: readonly PrunableLayer[],
  counts: readonly number[],
  blocks: readonly MoeBlockSpec[],
  statistics: CalibrationStatistics,
): string[] {
  const notes: string[] = [];
  const rounded = layers.findIndex(({ experts, groups }, at) => {
    return groups !== undefined && !ragged && counts[at] !== experts - Math.round(ratio * experts);
  });
  if (rounded !== -1) {
    const { experts } = layers[rounded]!;
    notes.push(
      `${counts[rounded]} of ${experts} experts are left instead of ${experts - Math.round(ratio * experts)}: the router needs groups of equal size.`,
    );
  }
  const pinned = layers.flatMap(({ index, pinned: own }) => [...own].map((expert) => `${index}/${expert}`));
  if (pinned.length > 0) {
    notes.push(`Merged with nothing for their extreme activations (layer/expert): ${pinned.join(', ')}.`);
  }
  const unseen = statistics.layers.reduce(
    (sum, { total }) => sum + total.counts.filter((count) => count === 0).length,
    0,
  );
  if (unseen > 0) {
    notes.push(`${unseen} experts were chosen by no token of the text: they add nothing to their group.`);
  }
  if (options.router === 'all') {
    notes.push('All router rows stay: runtimes that store every expert save nothing.');
  }
  if (options.rank !== undefined) {
    notes.push(
      'Low-rank matrices are written out dense: the plan shows their quality, no runtime here stores them smaller.',
    );
  }
  if (blocks.some(({ experts }) => experts[0]?.down.weight.storage === 'mxfp4')) {
    notes.push('Merged experts are computed in bfloat16; the others keep their 4-bit codes.');
  }
  return notes;
}

/** How the merge compares with pruning to the same size, which is the simpler thing to do. */
export function comparisonNote(
  { ratio, compare }: MergeParams,
  { router }: ResolvedMergeOptions,
  compared: MeasuredMerge | undefined,
): string | undefined {
  if (ratio === 0 || !compare) {
    return undefined;
  }
  if (compared === undefined) {
    return 'Not compared with pruning to the same size, which is often nearer to the model: give text and a plan to write, and it is measured.';
  }
  const { comparison, text } = compared;
  const [merged, pruned] = (['merge', 'prune'] as const).map((kind) =>
    comparison.find((model) => model.kind === kind)!,
  );
  const kl = (model: typeof merged) => model!.measured.kl.toPrecision(3);
  const tokens = `${text.tokens} tokens that the calibration ${text.heldOut ? 'did not see' : 'saw too'}`;
  const size = router === 'all' ? ', though it keeps all router rows and saves nothing in most runtimes' : '';
  return merged!.measured.kl < pruned!.measured.kl
    ? `Nearer to the model than ${pruned!.name} to the same size: KL divergence ${kl(merged)} against ${kl(pruned)} nats, on ${tokens}${size}.`
    : `Prune instead: ${pruned!.name} to the same size stays nearer to the model than ${merged!.name}, KL divergence ${kl(pruned)} against ${kl(merged)} nats, on ${tokens}.`;
}
