import path from 'node:path';
import { specTensors } from '../families/specTensors';
import type { MoeBlockSpec } from '../families/specification';
import type { JobContext } from '../measure/jobContext';
import { shares } from '../methods/merge/averageExperts';
import { exactCounts } from '../methods/merge/exactCounts';
import { fewestGroups, groupCounts } from '../methods/merge/groupCounts';
import { groupLayer } from '../methods/merge/groupLayer';
import { dominantCounts } from '../methods/merge/mSmoe';
import type { MergeMethod } from '../methods/merge/method';
import { mergeMethods } from '../methods/merge/registry';
import type { PrunableLayer } from '../methods/prune/keptCounts';
import { superExperts } from '../methods/prune/superExperts';
import type { LayerStatistics } from '../methods/statistics';
import { TunerError } from '../protocol/errors';
import {
  mergeOptionsSchema,
  type MergedLayer,
  type MergeParams,
  type MergeResult,
  type ResolvedMergeOptions,
} from '../protocol/merging';
import type { Plan } from '../protocol/plan';
import { keptExperts } from '../transform/pruneStage';
import { partOfJob } from './budgetTables';
import { keepMergeRun } from './keepMergeRun';
import { compareMerge } from './mergeCandidates';
import { prunedAlike } from './mergeComparison';
import { mergeInputs, type MergeInputs } from './mergeInputs';
import { comparisonNote, mergeNotes } from './mergeNotes';
import { mergeSection } from './mergeSection';
import { openModel, planTarget, type OpenModel } from './openModel';
import { assertPlanAccepts, planInFile, updatePlan } from './planFile';
import { assertPrunable, prunableLayers } from './prunableLayers';
import type { EngineServices } from './services';

/** Share of the progress that calibration takes. */
const calibrationShare = 0.5;

/** Significant digits of the shares in a plan: more than any statistic has, and short enough to read. */
const shareDigits = 6;

/**
 * Chooses which experts of every MoE layer become one, and writes a plan: experts that the plan has pruned are left out. Calibrates
 * first where no statistics were given. The weights themselves are computed whenever the plan is used.
 * @throws TunerError `usage`, `infeasibleBudget`, `unsupportedFeature`, `malformedPlan`, `planForAnotherCheckpoint`, `writeFailed`, and
 * those of calibrating
 */
export async function merge(params: MergeParams, services: EngineServices, job: JobContext): Promise<MergeResult> {
  const start = performance.now();
  const model = await openModel(params.checkpoint);
  assertPrunable(model);
  const method = mergeMethods[params.method];
  const options = mergeOptions(params, method);
  if (params.text.length === 0 && params.stats === undefined) {
    throw new TunerError('usage', `The method "${params.method}" looks at what experts do on text.`, {
      place: '--text',
      wayOut: 'Give text files with --text or statistics with --stats.',
    });
  }
  const present = params.out === undefined ? undefined : await presentPlan(path.resolve(params.out), model);
  const { blocks } = model.resolved;
  const kept = keptExperts(present ?? ({} as Plan), blocks);
  groupCounts(mergeableLayers(blocks, kept, undefined), params.ratio);
  const known = await mergeInputs(params, method, options, model, services, partOfJob(job, 0, calibrationShare));
  const pinned = params.mergeSuperExperts ? undefined : superExperts(known.statistics);
  const layers = mergeableLayers(blocks, kept, pinned);
  const groupsOf = (position: number, count: number) =>
    groupLayer(method, known.statistics.layers[position]!, {
      experts: kept[position]!,
      count,
      pinned: new Set([...layers[position]!.pinned].map((at) => kept[position]![at]!)),
      routerGroups: layers[position]!.groups?.count ?? 1,
    });
  const counts = countsOf(params, method, layers, kept, known, groupsOf);
  const merged = layers.map(({ index }, position): MergedLayer => {
    const groups = groupsOf(position, counts[position]!);
    return { index, groups, weights: sharesOf(groups, method, known.statistics.layers[position]!) };
  });
  const compared = await compareMerge(
    {
      params,
      method,
      options,
      merged,
      known,
      base: present?.prune === undefined ? {} : { prune: present.prune },
      others: () => prunedAlike(layers, kept, counts, known.statistics),
    },
    model,
    services,
    partOfJob(job, calibrationShare, 1),
  );
  const chosen = compared?.options ?? options;
  const bytes = (experts: readonly unknown[]) =>
    specTensors(experts).reduce((sum, { byteLength }) => sum + byteLength, 0);
  const result: MergeResult = {
    checkpoint: model.checkpoint.folder,
    fingerprint: model.fingerprint,
    method: params.method,
    ratio: params.ratio,
    layers: merged,
    options: chosen,
    experts: kept.reduce((sum, { length }) => sum + length, 0),
    kept: merged.reduce((sum, { groups }) => sum + groups.length, 0),
    expertBytes: blocks.reduce((sum, { experts }, at) => sum + bytes(kept[at]!.map((id) => experts[id]!)), 0),
    keptExpertBytes: blocks.reduce(
      (sum, { experts }, at) => sum + bytes(merged[at]!.groups.map(([first]) => experts[first!]!)),
      0,
    ),
    calibrationTokens: known.statistics.tokens,
    ...(compared === undefined ? {} : { comparison: [...compared.comparison], comparisonTokens: compared.text.tokens }),
    notes: [
      comparisonNote(params, chosen, compared),
      ...mergeNotes(params, chosen, layers, counts, blocks, known.statistics),
    ].filter((note) => note !== undefined),
    seed: params.seed,
    seconds: (performance.now() - start) / 1000,
    ...(params.out === undefined ? {} : { plan: path.resolve(params.out) }),
  };
  if (result.plan !== undefined) {
    await writePlan(result.plan, model, result, known);
  }
  await keepMergeRun(model, services, result);
  return result;
}

/** The method's way to merge, with what the person chose instead. */
function mergeOptions(params: MergeParams, { defaults }: MergeMethod): ResolvedMergeOptions {
  const { alignment, router, refit, ridge, rank, sparse } = params;
  const chosen = { alignment, router, refit, ridge, rank, sparse };
  const given = Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== undefined));
  const options = mergeOptionsSchema.parse({ ...defaults, ...given });
  if (options.rank !== undefined && options.refit !== 'none') {
    throw new TunerError('usage', 'A refitted projection is not of low rank.', {
      place: '--rank',
      wayOut: 'Use either --rank or --refit, or --refit none with this method.',
    });
  }
  if (options.sparse !== undefined && options.rank === undefined) {
    throw new TunerError('usage', 'Sparse rows stand beside a low-rank part.', {
      place: '--sparse',
      wayOut: 'Give --rank too.',
    });
  }
  return options;
}

/** The plan that will be updated, checked; undefined where there is none yet. */
async function presentPlan(file: string, model: OpenModel): Promise<Plan | undefined> {
  await assertPlanAccepts(file, planTarget(model));
  return planInFile(file);
}

/** Bounds of every MoE layer in positions of its remaining experts. */
function mergeableLayers(
  blocks: readonly MoeBlockSpec[],
  kept: readonly (readonly number[])[],
  pinned: readonly ReadonlySet<number>[] | undefined,
): PrunableLayer[] {
  return prunableLayers(blocks, undefined, false).map((layer, position) => ({
    ...layer,
    experts: kept[position]!.length,
    pinned: new Set([...kept[position]!.keys()].filter((at) => pinned?.[position]?.has(kept[position]![at]!))),
  }));
}

/**
 * Groups of every layer: the same share everywhere, or different numbers with the same total. M-SMoE has a rule of its own for them; the
 * others minimise the predicted damage.
 */
function countsOf(
  { ratio, ragged }: MergeParams,
  method: MergeMethod,
  layers: readonly PrunableLayer[],
  kept: readonly (readonly number[])[],
  { statistics }: MergeInputs,
  groupsOf: (position: number, count: number) => number[][],
): number[] {
  const uniform = groupCounts(layers, ratio);
  if (!ragged) {
    return uniform;
  }
  if (layers.some(({ groups }) => groups !== undefined)) {
    throw new TunerError('usage', 'A router that chooses among groups needs the same number in each of them.', {
      place: '--ragged',
      wayOut: 'Leave the option out.',
    });
  }
  const total = uniform.reduce((sum, count) => sum + count, 0);
  if (method.needs === 'dense-outputs') {
    const choices = layers.map((layer, position) => ({
      statistics: statistics.layers[position]!,
      fewest: fewestGroups(layer),
      most: layer.experts,
      groups: (count: number) => groupsOf(position, count),
    }));
    return exactCounts(choices, method, total);
  }
  return dominantCounts(
    statistics.layers.map(({ total: sums }, position) => kept[position]!.map((expert) => sums.counts[expert]!)),
    total,
    layers.map(fewestGroups),
    layers.map(({ experts }) => experts),
  );
}

function sharesOf(groups: readonly number[][], method: MergeMethod, layer: LayerStatistics): number[][] {
  const weights = method.weights(layer);
  return groups.map((group) =>
    shares(
      group.map((expert) => weights[expert]!),
      group.length,
    ).map((share) => Number(share.toPrecision(shareDigits))),
  );
}

async function writePlan(
  file: string,
  { resolved, checkpoint, fingerprint }: OpenModel,
  { method, ratio, layers, options, calibrationTokens, seed }: MergeResult,
  known: MergeInputs,
): Promise<void> {
  const section = mergeSection({ method, ratio, layers, options, calibrationTokens, seed }, known, file);
  await updatePlan(file, {
    source: {
      checkpoint: path.basename(checkpoint.folder),
      family: resolved.recognised.record.name,
      fingerprint,
      experts: resolved.experts,
      activeExperts: resolved.activeExperts,
    },
    merge: section,
  });
}
