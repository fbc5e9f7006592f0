import type { MoeBlockSpec } from '../families/specification';
import { gatesInflate } from '../methods/prune/foldedCorrection';
import { selectSums } from '../methods/prune/selectSums';
import type { PruneParams } from '../protocol/pruning';
import type { PruneStatistics } from './pruneStatistics';
import type { PruneTarget } from './singlePrune';

/** What a person should know about a choice of experts, one sentence each. */
export function pruneNotes(
  params: PruneParams,
  target: PruneTarget,
  blocks: readonly MoeBlockSpec[],
  known: PruneStatistics | undefined,
  correction: readonly number[] | undefined,
): string[] {
  return [
    ...roundingNotes(params, target),
    ...protectionNotes(target, known !== undefined),
    ...coverageNotes(known),
    ...(params.replacement === 'none' ? gateNotes(params, blocks, correction) : replacementNotes(params)),
  ];
}

function roundingNotes({ ratio }: PruneParams, { layers, counts }: PruneTarget): string[] {
  const differs = layers.findIndex(
    ({ experts, groups }, at) => groups !== undefined && counts[at] !== experts - Math.round(ratio * experts),
  );
  return differs === -1
    ? []
    : [
        `${counts[differs]} of ${layers[differs]!.experts} experts stay instead of ${layers[differs]!.experts - Math.round(ratio * layers[differs]!.experts)}: the router needs groups of equal size.`,
      ];
}

function protectionNotes({ layers }: PruneTarget, measured: boolean): string[] {
  const pinned = layers.flatMap(({ index, pinned: own }) => [...own].map((expert) => `${index}/${expert}`));
  if (pinned.length > 0) {
    return [`Kept for their extreme activations (layer/expert): ${pinned.join(', ')}.`];
  }
  return measured
    ? []
    : ['Without calibration nobody knows which experts have extreme activations: none is protected.'];
}

/** Experts that no token chose have no statistics: they rank last by default, not by evidence. */
function coverageNotes(known: PruneStatistics | undefined): string[] {
  if (known === undefined) {
    return [];
  }
  const unseen = known.statistics.layers.map(
    (layer) => selectSums(layer, known.tags).counts.filter((count) => count === 0).length,
  );
  const total = unseen.reduce((sum, count) => sum + count, 0);
  const experts = known.statistics.layers.reduce((sum, layer) => sum + layer.experts, 0);
  return total === 0
    ? []
    : [`${total} of ${experts} experts were chosen by no token of the text and go first: more text may change that.`];
}

function replacementNotes({ replacement }: PruneParams): string[] {
  return [
    replacement === 'zero'
      ? 'The router still chooses the experts that go, and gets zero from them: no target is smaller for it.'
      : 'The router still chooses the experts that go, and gets their mean output from them: the ONNX target and families whose experts have a bias load that, and none is smaller for it.',
  ];
}

function gateNotes(
  { correction: asked }: PruneParams,
  blocks: readonly MoeBlockSpec[],
  correction: readonly number[] | undefined,
): string[] {
  const inflates = blocks.some(({ router }) => gatesInflate(router));
  if (asked === 'folded' && !inflates) {
    return ['The router keeps the size of its gates when experts go: there was nothing to correct.'];
  }
  return inflates && correction === undefined
    ? ['The router does not renormalise: the gates of the experts that stay grow. Compare with --correction folded.']
    : [];
}
