import { qualityOf } from '../measure/stateScores';
import type { JobContext } from '../measure/jobContext';
import { chooseHeldOut, type ChoiceReason, type Finalist, type WindowContent } from '../methods/budgets/heldOutChoice';
import type { AllocationQuality, BudgetCandidate } from '../protocol/budget';
import type { AllocationMeasurements } from './allocationMeasurements';

/** Allocations that the search found, beside the named candidates, that are compared on held-out windows: by KL, and by accuracy. */
const searchFinalists = { kl: 3, accuracy: 2 };

export interface FinalBudgetRequest {
  /** Exact solutions of objectives, and controls. */
  readonly named: readonly { readonly name: string; readonly activeExperts: readonly number[] }[];
  /** What was measured on the windows of the search, by allocation; at least one. */
  readonly searched: ReadonlyMap<string, AllocationQuality>;
  readonly heldOut: AllocationMeasurements | undefined;
  readonly content: WindowContent;
  readonly predict: (allocation: readonly number[]) => number;
  readonly job: JobContext;
}

export interface FinalBudget {
  /** The chosen one first, then by measured KL; what was not measured last. */
  readonly candidates: BudgetCandidate[];
  readonly chosen: BudgetCandidate & { readonly measured: AllocationQuality };
  readonly notes: string[];
}

/**
 * Takes one of the named candidates and the best allocations of a search by what they measure on held-out windows: a search that has
 * seen dozens of allocations finds some that are good on its own windows only. Without held-out windows, and when stopped before all
 * of them were measured, the windows of the search decide.
 */
export async function chooseFinally(request: FinalBudgetRequest): Promise<FinalBudget> {
  const { named, searched, heldOut, content, predict, job } = request;
  const found = bestOfSearch(request);
  const all = [...found, ...named];
  const finalists = heldOut === undefined ? undefined : await measureFinalists(all, heldOut, job);
  const qualities =
    finalists === undefined
      ? searched
      : new Map(finalists.map(({ activeExperts, windows }) => [activeExperts.join(), qualityOf(windows)]));
  const candidates = all
    .map(({ name, activeExperts }) => ({
      name,
      activeExperts: [...activeExperts],
      predicted: predict(activeExperts),
      measured: qualities.get(activeExperts.join()) ?? null,
    }))
    .sort((left, right) => (left.measured?.kl ?? Infinity) - (right.measured?.kl ?? Infinity));
  const choice = finalists === undefined ? undefined : chooseHeldOut(finalists, content);
  const at =
    choice === undefined
      ? 0
      : candidates.findIndex(({ activeExperts }) => activeExperts.join() === choice.chosen.activeExperts.join());
  const [chosen] = candidates.splice(at, 1);
  return {
    candidates: [chosen!, ...candidates],
    chosen: { ...chosen!, measured: chosen!.measured! },
    notes: choice === undefined ? [] : notes[content][choice.reason],
  };
}

/** What the search found beyond the named candidates: the smallest KL and the highest accuracy. */
function bestOfSearch({ named, searched }: FinalBudgetRequest): { name: string; activeExperts: number[] }[] {
  const known = new Set(named.map(({ activeExperts }) => activeExperts.join()));
  const others = [...searched].filter(([key]) => !known.has(key));
  const byKl = [...others].sort((left, right) => left[1].kl - right[1].kl).slice(0, searchFinalists.kl);
  const byAccuracy = [...others]
    .sort((left, right) => right[1].accuracy - left[1].accuracy)
    .slice(0, searchFinalists.accuracy);
  return [...new Map([...byKl, ...byAccuracy]).keys()].map((key) => ({
    name: 'search',
    activeExperts: key.split(',').map(Number),
  }));
}

const uniformNote =
  'No candidate was better than uniform by more than the noise of the measurement, so uniform was taken.';

const notes: Readonly<Record<WindowContent, Readonly<Record<ChoiceReason, string[]>>>> = {
  text: { best: [], tie: [], uniform: [uniformNote] },
  items: {
    best: ['The text is made of short items: the candidate that loses the fewest of the sure predictions was taken.'],
    tie: ['As many sure predictions are lost by several candidates: the one with the smallest KL of them was taken.'],
    uniform: [uniformNote],
  },
};

/** Scores of every finalist on the held-out windows; undefined when the job was stopped before all were measured. */
async function measureFinalists(
  all: FinalBudgetRequest['named'],
  heldOut: AllocationMeasurements,
  job: JobContext,
): Promise<Finalist[] | undefined> {
  const finalists: Finalist[] = [];
  const stopped = () => job.signal.aborted;
  for (const [at, { name, activeExperts }] of all.entries()) {
    if (stopped()) {
      return undefined;
    }
    job.progress(at / all.length, `Comparing on other text: ${name}`);
    try {
      finalists.push({ name, activeExperts, windows: await heldOut.measureWindows(activeExperts) });
    } catch (error) {
      if (stopped()) {
        return undefined;
      }
      throw error;
    }
  }
  return finalists;
}
