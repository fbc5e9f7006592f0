import type { Plan, PlanGates } from '../../engine/protocol/plan';
import type { EditedLayer, KnownGates } from '../../engine/protocol/planEditor';
import type { CheckpointEntry } from '../config/checkpointStore';
import { isResultStale } from '../config/staleness';

/** Measured factors that are offered: older ones leave the editor. */
const offeredRuns = 4;

function same(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((value, at) => value === other[at]);
}

/** The trained number of ranks in every layer: known without measuring, where the routers divide by a sum at all. */
function reference(
  { summary }: CheckpointEntry,
  layers: readonly EditedLayer[],
  numbers: readonly number[],
): KnownGates[] {
  if (summary?.gateReference?.supported !== true || layers.length === 0) {
    return [];
  }
  const values = layers.map(({ trained }, at) => Math.max(trained, numbers[at] ?? 1));
  return [{ policy: 'reference', values, seed: 0, stale: false }];
}

/** Measured factors, those that the plan had before and no run explains first. */
function scales(
  { gateRuns = [], summary }: CheckpointEntry,
  layers: readonly EditedLayer[],
  seen: Plan['gates'],
): KnownGates[] {
  const runs = gateRuns.flatMap(({ activeExperts, gates, fingerprint }): KnownGates[] =>
    gates.scale?.length === layers.length
      ? [knownScale(gates.scale, gates, activeExperts, isResultStale({ fingerprint }, summary))]
      : [],
  );
  const { scale } = seen ?? {};
  const explained = scale === undefined || runs.some(({ values }) => same(values, scale));
  const ofPlan =
    seen === undefined || explained || scale.length !== layers.length
      ? []
      : [knownScale(scale, seen, undefined, false)];
  return [...ofPlan, ...runs.slice(-offeredRuns)];
}

function knownScale(
  values: readonly number[],
  { calibrationTokens, seed }: Pick<PlanGates, 'calibrationTokens' | 'seed'>,
  activeExperts: readonly number[] | undefined,
  stale: boolean,
): KnownGates {
  return {
    policy: 'scale',
    values: [...values],
    ...(activeExperts === undefined ? {} : { activeExperts: [...activeExperts] }),
    ...(calibrationTokens === undefined ? {} : { tokens: calibrationTokens }),
    seed,
    stale,
  };
}

/** Every routing policy whose numbers are known for these layers, from runs or from what the plan had last. */
export function knownGates(
  entry: CheckpointEntry,
  layers: readonly EditedLayer[],
  plan: Plan | undefined,
  seen: Plan['gates'],
): KnownGates[] {
  const numbers = plan?.activeExperts ?? layers.map(({ trained }) => trained);
  return [...reference(entry, layers, numbers), ...scales(entry, layers, seen)];
}
