import path from 'node:path';
import { specTensors } from '../families/specTensors';
import type { JobContext } from '../measure/jobContext';
import { uniformCounts } from '../methods/prune/keptCounts';
import { pruneMethodNamed } from '../methods/prune/registry';
import { TunerError } from '../protocol/errors';
import type { PruneParams, PruneResult } from '../protocol/pruning';
import type { PlanPrune } from '../protocol/plan';
import { autoPrune } from './autoPrune';
import { partOfJob } from './budgetTables';
import { keepExpertScores, keepPruneRun, type MethodScores } from './expertScores';
import { openModel, planTarget, type OpenModel } from './openModel';
import { assertPlanAccepts, updatePlan } from './planFile';
import { assertPrunable, prunableLayers } from './prunableLayers';
import { foldedFactors } from './pruneCorrection';
import { PruneMeasurements } from './pruneMeasurements';
import { pruneMeasureText, type MeasurePart } from './pruneMeasureText';
import { pruneNotes } from './pruneNotes';
import { constantsFile, pruneReplacements, type NamedStatistics } from './pruneReplacements';
import { needsText, type RankingSources } from './pruneRankings';
import { pruneStatistics, type PruneStatistics } from './pruneStatistics';
import { runtimeOptions, type EngineServices } from './services';
import { ScratchWeights } from '../transform/scratchWeights';
import { pruneBy, type PruneTarget } from './singlePrune';

/** Share of the progress that calibration takes where it has to be made. */
const calibrationShare = 0.4;

type Decision = Pick<PruneResult, 'layers' | 'notes'> & { readonly rankings: readonly MethodScores[] } & Partial<
    Pick<PruneResult, 'correction' | 'chosen' | 'measured' | 'candidates' | 'interrupted' | 'measurements'>
  >;

/**
 * Chooses which experts of every MoE layer stay, and writes a plan. Calibrates first where the method needs it and no statistics were
 * given. Nothing of the checkpoint is changed.
 * @throws TunerError `usage`, `infeasibleBudget`, `unsupportedFeature`, `malformedPlan`, `planForAnotherCheckpoint`, `writeFailed`, and
 * those of calibrating and measuring
 */
export async function prune(params: PruneParams, services: EngineServices, job: JobContext): Promise<PruneResult> {
  const start = performance.now();
  const model = await openModel(params.checkpoint);
  assertRequest(params, model);
  if (params.out !== undefined) {
    await assertPlanAccepts(path.resolve(params.out), planTarget(model));
  }
  const { blocks } = model.resolved;
  uniformCounts(prunableLayers(blocks, undefined, false), params.ratio);
  const known = await pruneStatistics(params, model, services, partOfJob(job, 0, calibrationShare));
  const layers = prunableLayers(blocks, known?.statistics, !params.pruneSuperExperts);
  const target: PruneTarget = { layers, counts: uniformCounts(layers, params.ratio), ragged: params.ragged };
  const sources: RankingSources = {
    blocks,
    statistics: known?.statistics,
    tags: known?.tags ?? [],
    baseBlocks: params.base === undefined ? undefined : (await openBase(params.base, model)).resolved.blocks,
    runtime: await runtimeOptions(services, job),
    job,
  };
  const rest = partOfJob(job, known === undefined ? 0 : calibrationShare, 1);
  const { rankings, ...decision } =
    params.method === 'auto'
      ? await decideByMeasuring(params, model, target, sources, known, services, rest)
      : await decideByMethod(params.method, params, target, sources, rest);
  const bytes = (part: unknown) => specTensors(part).reduce((sum, { byteLength }) => sum + byteLength, 0);
  const keep = decision.layers.map((layer) => layer.keep);
  const result: PruneResult = {
    checkpoint: model.checkpoint.folder,
    fingerprint: model.fingerprint,
    method: params.method,
    ratio: params.ratio,
    ...decision,
    experts: blocks.reduce((sum, { experts }) => sum + experts.length, 0),
    kept: keep.reduce((sum, { length }) => sum + length, 0),
    expertBytes: blocks.reduce((sum, { experts }) => sum + bytes(experts), 0),
    ...(params.replacement === 'none' ? {} : { replacement: params.replacement }),
    keptExpertBytes: blocks.reduce(
      (sum, { experts }, at) =>
        sum + bytes(params.replacement === 'none' ? keep[at]!.map((id) => experts[id]!) : experts),
      0,
    ),
    ...(known?.retrieved === undefined ? {} : { retrieved: known.retrieved }),
    ...(known === undefined ? {} : { calibrationTokens: known.statistics.tokens }),
    notes: [...decision.notes, ...pruneNotes(params, target, blocks, known, decision.correction)],
    seed: params.seed,
    seconds: (performance.now() - start) / 1000,
    ...(params.out === undefined ? {} : { plan: path.resolve(params.out) }),
  };
  if (result.plan !== undefined) {
    const constants =
      params.replacement === 'constant' ? await constantsFile(result.plan, params.stats, known!) : undefined;
    await writePlan(result.plan, model, result, known, constants);
  }
  const evidence = { statistics: known?.statistics, tags: known?.tags ?? [], seed: params.seed };
  await keepExpertScores(model, services, evidence, rankings);
  await keepPruneRun(model, services, result);
  return result;
}

/** Checks what can be checked before anything is measured: a typing mistake must not cost minutes. */
function assertRequest(params: PruneParams, model: OpenModel): void {
  assertPrunable(model);
  const { method, text, stats, task, retrieve, replacement } = params;
  const measures = method === 'auto' || pruneMethodNamed(method).needs === 'statistics' || method === 'naee';
  if (method === 'auto' && text.length === 0) {
    throw new TunerError('usage', 'The method "auto" measures whole plans and needs text to measure on.', {
      place: '--text',
      wayOut: 'Give text files with --text, or name a method.',
    });
  }
  if (measures && text.length === 0 && stats === undefined) {
    throw needsText(method);
  }
  if (task.length > 0 && retrieve.length > 0) {
    throw new TunerError('usage', 'Name a task or give text to find the task by, not both.', {
      place: '--task, --retrieve',
    });
  }
  if (replacement !== 'none' && params.correction === 'folded') {
    throw new TunerError(
      'usage',
      'Where something stands for the experts that go, the router keeps all its rows and no gate grows.',
      {
        place: '--correction, --replacement',
        wayOut: 'Leave one of them out.',
      },
    );
  }
  if (replacement === 'constant' && text.length === 0 && stats === undefined) {
    throw new TunerError('usage', 'The constants that stand for experts are their mean outputs on text.', {
      place: '--text, --stats',
      wayOut: 'Give text files with --text or the statistics of an earlier calibration with --stats.',
    });
  }
  if (replacement === 'constant' && task.length + retrieve.length > 0) {
    throw new TunerError('usage', 'Mean outputs of experts are not kept task by task.', {
      place: '--task, --retrieve',
      wayOut: 'Give text of the task alone with --text.',
    });
  }
  if (method === 'router-change' && params.base === undefined) {
    throw new TunerError('usage', 'The method "router-change" compares with the checkpoint before fine-tuning.', {
      place: '--base',
      wayOut: 'Give the folder of that checkpoint with --base.',
    });
  }
}

async function openBase(folder: string, model: OpenModel): Promise<OpenModel> {
  const base = await openModel(folder);
  const shape = ({ resolved }: OpenModel) =>
    JSON.stringify(resolved.blocks.map(({ layer, experts, hiddenSize }) => [layer, experts.length, hiddenSize]));
  if (shape(base) !== shape(model)) {
    throw new TunerError('usage', 'The base checkpoint has other MoE layers than the model.', {
      file: base.checkpoint.configFile,
      place: '--base',
      wayOut: 'Give the checkpoint that this one was fine-tuned from.',
    });
  }
  return base;
}

async function decideByMethod(
  name: Exclude<PruneParams['method'], 'auto'>,
  params: PruneParams,
  target: PruneTarget,
  sources: RankingSources,
  job: JobContext,
): Promise<Decision> {
  const { keep, scores } = await pruneBy(pruneMethodNamed(name), target, sources, params.seed, job);
  const { blocks, statistics, tags } = sources;
  const folded = params.correction === 'folded';
  if (folded && statistics === undefined) {
    throw new TunerError('usage', 'The correction of the gates needs to know the scores of the router on text.', {
      place: '--correction',
      wayOut: 'Give text files with --text or statistics with --stats.',
    });
  }
  const correction = folded ? foldedFactors(blocks, statistics!, tags, keep) : undefined;
  return {
    layers: named(target, keep, scores),
    ...(correction === undefined ? {} : { correction }),
    rankings: [{ method: name, scores }],
    notes: [],
  };
}

async function decideByMeasuring(
  params: PruneParams,
  model: OpenModel,
  target: PruneTarget,
  sources: RankingSources,
  known: PruneStatistics | undefined,
  services: EngineServices,
  job: JobContext,
): Promise<Decision> {
  const text = await pruneMeasureText(params, sources.tags, model);
  const scratch = new ScratchWeights();
  const opened: PruneMeasurements[] = [];
  try {
    const replacements = await pruneReplacements(params, sources.blocks, known, scratch);
    const measure = async ({ sequences, key }: MeasurePart) => {
      const { runtime } = sources;
      const made = await PruneMeasurements.create(model, sequences, key, runtime, services.cache, job, replacements);
      opened.push(made);
      return made;
    };
    const [searched, heldOut] = [await measure(text.searched), await measure(text.heldOut)];
    const { keep, scores, correction, ...evidence } = await autoPrune({
      params,
      target,
      sources,
      searched,
      heldOut,
      job,
    });
    return {
      layers: named(target, keep, scores),
      ...(correction === undefined ? {} : { correction }),
      ...evidence,
      measurements: searched.made + heldOut.made,
    };
  } finally {
    for (const each of opened) {
      await each.dispose();
    }
    await scratch.dispose();
  }
}

function named(target: PruneTarget, keep: number[][], scores: number[][]): PruneResult['layers'] {
  return target.layers.map(({ index }, at) => ({ index, keep: keep[at]!, scores: scores[at]! }));
}

async function writePlan(
  file: string,
  model: OpenModel,
  result: PruneResult,
  known: PruneStatistics | undefined,
  constants: NamedStatistics | undefined,
): Promise<void> {
  const { resolved, checkpoint, fingerprint } = model;
  const section: PlanPrune = {
    method: result.method,
    ratio: result.ratio,
    keep: result.layers.map(({ keep }) => keep),
    ...(result.correction === undefined ? {} : { correction: result.correction }),
    ...(result.replacement === undefined ? {} : { replacement: result.replacement }),
    ...(result.chosen === undefined ? {} : { chosen: result.chosen }),
    ...(result.measured === undefined ? {} : { measuredKl: result.measured.kl }),
    ...(known === undefined || known.tags.length === 0 ? {} : { tasks: [...known.tags] }),
    ...(result.calibrationTokens === undefined ? {} : { calibrationTokens: result.calibrationTokens }),
    ...(known?.hash === undefined ? {} : { statistics: known.hash }),
    ...constants,
    seed: result.seed,
  };
  await updatePlan(file, {
    source: {
      checkpoint: path.basename(checkpoint.folder),
      family: resolved.recognised.record.name,
      fingerprint,
      experts: resolved.experts,
      activeExperts: resolved.activeExperts,
    },
    prune: section,
  });
}
