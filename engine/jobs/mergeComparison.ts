import { attentionHeads } from './evaluate';
import type { TaggedSequence } from '../measure/calibration/batchTokens';
import type { JobContext } from '../measure/jobContext';
import { batchSequences } from '../measure/sequenceBatches';
import { VariantMeter } from '../measure/variantMeter';
import { keepBest } from '../methods/prune/keepBest';
import type { PrunableLayer } from '../methods/prune/keptCounts';
import type { CalibrationStatistics, ExpertSums } from '../methods/statistics';
import type { ComparedModel, MergeParams } from '../protocol/merging';
import type { Plan } from '../protocol/plan';
import { ScratchWeights } from '../transform/scratchWeights';
import { transformBlocks, withBlocks } from '../transform/transformModel';
import { partOfJob } from './budgetTables';
import { calibrationSequences } from './calibrationSequences';
import { evenOverTags } from './evenOverTags';
import type { OpenModel } from './openModel';
import { rankingTokens } from './rankingTokens';
import { runtimeOptions, type EngineServices } from './services';

/** Tokens on which a merge is compared with others and with pruning. */
const comparisonTokens = 8192;

/** A plan to measure, under the name that a person reads. */
export type PlanToCompare = Omit<ComparedModel, 'measured'> & { readonly plan: Plan };

export interface ComparisonText {
  readonly sequences: readonly Int32Array[];
  readonly tokens: number;
  /** Whether the calibration saw none of these tokens. */
  readonly heldOut: boolean;
}

/**
 * Text to compare plans on: windows that the calibration left out, from all datasets and tasks alike; where it left too little, all
 * windows again.
 */
export async function comparisonText(params: MergeParams, model: OpenModel): Promise<ComparisonText> {
  const { text, length, windows, perDocument, stats } = params;
  const all = await calibrationSequences(model, { text, length, perDocument });
  const seen =
    stats === undefined
      ? await calibrationSequences(model, { text, length, windows, perDocument, tokens: rankingTokens(params) })
      : undefined;
  const known = new Set(seen?.sequences.map(({ ids }) => ids.join()));
  const unseen = all.sequences.filter(({ ids }) => !known.has(ids.join()));
  const heldOut = seen !== undefined && countIds(unseen) >= comparisonTokens / 2;
  const usable = (heldOut ? unseen : all.sequences).filter(({ ids }) => ids.length > 1);
  const sequences = evenOverTags(usable, comparisonTokens).flatMap((own) => own.map(({ ids }) => ids));
  return { sequences, tokens: sequences.reduce((sum, ids) => sum + ids.length, 0), heldOut };
}

function countIds(sequences: readonly TaggedSequence[]): number {
  return sequences.reduce((sum, { ids }) => sum + ids.length, 0);
}

/** The sums by which pruning is compared with merging: the two that need nothing but counting. */
const pruneScores = {
  'gate mass': ({ gates }: ExpertSums) => gates,
  frequency: ({ counts }: ExpertSums) => counts,
} as const;

/**
 * Plans that prune to the same number of experts in every layer.
 * @param layers bounds in positions of the remaining experts, as merging has them
 * @param kept experts that remain, ids of the checkpoint
 */
export function prunedAlike(
  layers: readonly PrunableLayer[],
  kept: readonly (readonly number[])[],
  counts: readonly number[],
  statistics: CalibrationStatistics,
): PlanToCompare[] {
  return Object.entries(pruneScores).map(([name, scoresOf]) => {
    const keep = layers.map(({ pinned, groups }, position) => {
      const scores = scoresOf(statistics.layers[position]!.total);
      const own = kept[position]!;
      const limits = { count: counts[position]!, pinned, groups: groups?.count ?? 1 };
      return keepBest(
        own.map((expert) => scores[expert]!),
        limits,
      ).map((at) => own[at]!);
    });
    return { name: `pruning by ${name}`, kind: 'prune', plan: { version: 1, prune: { method: name, keep, seed: 0 } } };
  });
}

/**
 * Measures plans against the model as trained on the same tokens, the nearest first (KL divergence).
 * @param planFile where plans that name a statistics file beside them lie
 */
export async function comparePlans(
  plans: readonly PlanToCompare[],
  { sequences }: ComparisonText,
  model: OpenModel,
  planFile: string,
  services: EngineServices,
  job: JobContext,
): Promise<ComparedModel[]> {
  const decoder = model.resolved.decoder();
  const scratch = new ScratchWeights();
  const meter = await VariantMeter.open({
    model: decoder,
    runtime: await runtimeOptions(services, job),
    batches: batchSequences(sequences, attentionHeads(decoder)),
    sequences,
    job,
  });
  try {
    const measured: ComparedModel[] = [];
    for (const [at, { plan, ...named }] of plans.entries()) {
      const part = partOfJob(job, at / plans.length, (at + 1) / plans.length);
      part.progress(0, `Measuring ${named.name}`);
      const blocks = await transformBlocks(model.resolved.blocks, plan, { scratch, job: part, planFile });
      measured.push({ ...named, measured: await meter.measure(withBlocks(decoder, blocks).layers) });
    }
    return measured.sort((left, right) => left.measured.kl - right.measured.kl);
  } finally {
    await meter.dispose();
    await scratch.dispose();
  }
}
