import { SeededRandom } from '../numeric/seededRandom';
import type { JobContext } from '../measure/jobContext';
import { qualityOf } from '../measure/stateScores';
import type { WindowContent } from '../methods/budgets/heldOutChoice';
import { choosePlan } from '../methods/prune/choosePlan';
import { gatesInflate } from '../methods/prune/foldedCorrection';
import type { PruneMethod } from '../methods/prune/method';
import { pruneMethods, type SinglePruneMethodName } from '../methods/prune/registry';
import { searchSets } from '../methods/prune/searchSets';
import { cancelledError, TunerError } from '../protocol/errors';
import type { WindowScores } from '../protocol/budget';
import type { PruneCandidate, PruneCorrectionName, PruneParams, PruneQuality, PruneResult } from '../protocol/pruning';
import { partOfJob } from './budgetTables';
import type { MethodScores } from './expertScores';
import { foldedFactors } from './pruneCorrection';
import { needsText, type RankingSources } from './pruneRankings';
import type { PrunedModel, PruneMeasurements } from './pruneMeasurements';
import { pruneBy, type PrunedLayers, type PruneTarget } from './singlePrune';

/** Random controls that are measured besides the methods. */
const controls = 2;

/** Shares of the progress: rankings, measurements of the candidates, search. */
const rankShare = 0.2;
const measureShare = 0.55;

export interface AutoPruneRequest {
  readonly params: PruneParams;
  readonly target: PruneTarget;
  readonly sources: RankingSources;
  /** Tokens on which the search compares plans. */
  readonly searched: PruneMeasurements;
  /** Other tokens, on which plans are compared in the end. */
  readonly heldOut: PruneMeasurements;
  readonly job: JobContext;
}

export type AutoPrune = PrunedLayers &
  Pick<PruneResult, 'chosen' | 'measured' | 'candidates' | 'interrupted' | 'notes'> & {
    readonly correction: number[] | undefined;
    /** Scores of every method that was tried. */
    readonly rankings: readonly MethodScores[];
  };

interface Candidate {
  readonly name: string;
  readonly scores: number[][];
  readonly model: PrunedModel & { readonly keep: number[][] };
}

interface MeasuredCandidate extends Candidate {
  readonly windows: WindowScores;
  readonly measured: PruneQuality;
}

/**
 * The best measured plan: every method that has what it needs, and random controls, are measured on held-out text, with corrected gates
 * too where these grow; a search in single layers starts from the plan nearest to the full model. Since the choice is among all of them
 * on the same windows ({@link choosePlan}), no single method measures better there by more than the noise. Cancelling ends it with the
 * best so far.
 * @throws TunerError `cancelled` before the first measurement, and those of ranking and measuring
 */
export async function autoPrune(request: AutoPruneRequest): Promise<AutoPrune> {
  const { params, heldOut, job } = request;
  const { plans, rankings, notes } = await namedCandidates(request);
  const candidates = plans.flatMap((plan) => bothCorrections(request, plan));
  const measured: MeasuredCandidate[] = [];
  const add = async (candidate: Candidate) => {
    const windows = await heldOut.measure(candidate.model);
    measured.push({ ...candidate, windows, measured: qualityOf(windows) });
    measured.sort((left, right) => left.measured.kl - right.measured.kl);
  };
  for (const [at, candidate] of candidates.entries()) {
    const share = rankShare + ((measureShare - rankShare) * at) / candidates.length;
    job.progress(share, `Measuring ${candidate.name}, ${at + 1} of ${candidates.length}`);
    if (!(await untilCancelled(job, () => add(candidate)))) {
      break;
    }
  }
  if (measured.length === 0) {
    throw cancelledError();
  }
  const left = params.evaluations - candidates.length;
  await untilCancelled(job, async () => {
    const found = left > 0 ? await searchFrom(request, measured, left) : undefined;
    for (const candidate of found === undefined ? [] : bothCorrections(request, found)) {
      await add(candidate);
    }
  });
  const content: WindowContent = params.perDocument ? 'items' : 'text';
  const best = choosePlan(measured, content);
  return {
    keep: best.model.keep,
    scores: best.scores,
    correction: best.model.correction === undefined ? undefined : [...best.model.correction],
    chosen: best.name,
    measured: best.measured,
    candidates: listed(candidates, [best, ...measured.filter((other) => other !== best)]),
    rankings,
    notes,
    ...(job.signal.aborted ? { interrupted: true } : {}),
  };
}

/** Runs work that the person may cancel; what was measured before stays. */
async function untilCancelled(job: JobContext, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (job.signal.aborted && TunerError.is(error, 'cancelled')) {
      return false;
    }
    throw error;
  }
}

/** The plans of all methods that have what they need, each with its own kept sets; equal plans are kept, as they cost nothing. */
async function namedCandidates(
  request: AutoPruneRequest,
): Promise<{ plans: Candidate[]; rankings: MethodScores[]; notes: string[] }> {
  const { params, target, sources, job } = request;
  const methods: PruneMethod[] = Object.values(pruneMethods);
  const runs = methods.flatMap((method) => {
    const seeds =
      method.needs === 'nothing' ? Array.from({ length: controls }, (_, at) => params.seed + at) : [params.seed];
    const shapes = target.ragged ? [true, false] : [false];
    return seeds.flatMap((seed) => shapes.map((ragged) => ({ method, seed, ragged })));
  });
  const plans: Candidate[] = [];
  const rankings = new Map<SinglePruneMethodName, MethodScores>();
  const notes: string[] = [];
  for (const [at, { method, seed, ragged }] of runs.entries()) {
    const part = partOfJob(job, (rankShare * at) / runs.length, (rankShare * (at + 1)) / runs.length);
    try {
      const { keep, scores } = await pruneBy(method, { ...target, ragged }, sources, seed, part);
      const name = target.ragged && !ragged ? `${method.name} (uniform)` : method.name;
      plans.push({ name, scores, model: { keep, correction: requestedCorrection(request, keep) } });
      const key = method.name as SinglePruneMethodName;
      rankings.set(key, { method: key, scores });
    } catch (error) {
      // Methods without what they need are left out, said so; any other failure is one of the whole run.
      if (!TunerError.is(error, 'usage')) {
        throw error;
      }
      if (!ragged || !target.ragged) {
        notes.push(`Left out: ${method.name}. ${error.message}`);
      }
    }
  }
  if (plans.every(({ name }) => name.startsWith('random'))) {
    throw needsText('auto');
  }
  return { plans, rankings: [...rankings.values()], notes };
}

function requestedCorrection({ params, sources }: AutoPruneRequest, keep: number[][]): number[] | undefined {
  const { blocks, statistics, tags } = sources;
  return params.correction === 'folded' && statistics !== undefined
    ? foldedFactors(blocks, statistics, tags, keep)
    : undefined;
}

/** A plan, and the same one with the other gates, where the person left the choice and the router has growing gates. */
function bothCorrections({ params, sources }: AutoPruneRequest, candidate: Candidate): Candidate[] {
  const { blocks, statistics, tags } = sources;
  const { keep, correction } = candidate.model;
  // Gates grow only where router rows go.
  const open = params.correction === undefined && params.replacement === 'none' && statistics !== undefined;
  if (!open || !blocks.some(({ router }) => gatesInflate(router))) {
    return [candidate];
  }
  const other = correction === undefined ? foldedFactors(blocks, statistics, tags, keep) : undefined;
  return [candidate, { ...candidate, model: { keep, correction: other } }];
}

async function searchFrom(
  request: AutoPruneRequest,
  measured: readonly MeasuredCandidate[],
  evaluations: number,
): Promise<Candidate | undefined> {
  const { params, target, searched, sources, job } = request;
  const { blocks, statistics, tags } = sources;
  // Sets are compared with the gates with which the best of them did best.
  const corrected = measured[0]!.model.correction !== undefined;
  const model = (keep: readonly (readonly number[])[]): Candidate['model'] => {
    const copy = keep.map((set) => [...set]);
    return { keep: copy, correction: corrected ? foldedFactors(blocks, statistics!, tags, copy) : undefined };
  };
  const search = searchSets({
    plans: [...new Set(measured.map(({ model: { keep } }) => keep))],
    limits: target.layers.map(({ experts, pinned, groups }) => ({ experts, pinned, groups: groups?.count ?? 1 })),
    evaluations,
    random: new SeededRandom(params.seed),
    signal: job.signal,
    measure: async (plan, base) => qualityOf(await searched.measure(model(plan), model(base))).kl,
  });
  let best = measured[0]!.model.keep as readonly (readonly number[])[];
  await untilCancelled(job, async () => {
    for await (const { evaluation, plan, measured: kl } of search) {
      best = plan;
      const share = measureShare + ((0.95 - measureShare) * evaluation) / evaluations;
      job.progress(share, `Search, measurement ${evaluation}: best KL so far ${kl.toPrecision(4)} nats`);
    }
  });
  const same = best.every((set, position) => set.join() === measured[0]!.model.keep[position]!.join());
  return same ? undefined : { name: 'search', scores: measured[0]!.scores, model: model(best) };
}

/** All candidates, measured ones first in the given order. */
function listed(candidates: readonly Candidate[], measured: readonly MeasuredCandidate[]): PruneCandidate[] {
  const entry = ({ name, model }: Candidate, quality: PruneQuality | null): PruneCandidate => ({
    name,
    correction: (model.correction === undefined ? 'none' : 'folded') satisfies PruneCorrectionName,
    keep: model.keep,
    measured: quality,
  });
  const done = new Set(measured.map(({ model }) => model));
  return [
    ...measured.map((candidate) => entry(candidate, candidate.measured)),
    ...candidates.filter(({ model }) => !done.has(model)).map((candidate) => entry(candidate, null)),
  ];
}
