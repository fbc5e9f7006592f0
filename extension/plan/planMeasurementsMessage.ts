import type { CalibrateResult } from '../../engine/protocol/calibration';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import type { Plan } from '../../engine/protocol/plan';
import type { EditedLayer, LossTable, PlanMeasurements } from '../../engine/protocol/planEditor';
import type { ProfileResult } from '../../engine/protocol/sensitivity';
import type { CheckpointEntry } from '../config/checkpointStore';
import { isProfileStale, isResultStale } from '../config/staleness';
import { tableObjective } from './layerExplanation';
import type { PlanMatch } from './planCheckpoint';
import { knownGates } from './planGates';
import { planScores } from './planScores';

function editedLayers(summary: CheckpointSummary): EditedLayer[] {
  return summary.layers
    .filter(({ moe, experts, active }) => moe && experts > 0 && active > 0)
    .map(({ index, experts, active, expertBytes, expertParameters }) => ({
      index,
      experts,
      trained: active,
      expertBytes: expertBytes / experts,
      ...(expertParameters === undefined ? {} : { expertParameters }),
    }));
}

/** The rows of a table in the order of the layers; undefined where it lacks one of them or is too short. */
function rowsFor(
  layers: readonly EditedLayer[],
  rows: readonly { readonly layer: number; readonly loss: readonly number[] }[],
): number[][] | undefined {
  const byLayer = new Map(rows.map(({ layer, loss }) => [layer, loss]));
  const found = layers.map(({ index, trained }) => byLayer.get(index)?.slice(0, trained) ?? []);
  return found.every((loss, at) => loss.length === layers[at]?.trained) ? found : undefined;
}

function profileTable(
  name: 'relative-squared' | 'lexi',
  profile: ProfileResult,
  layers: readonly EditedLayer[],
  stale: boolean,
): LossTable[] {
  const measure = name === 'lexi' ? 'raw' : 'relativeSquared';
  const rows = rowsFor(
    layers,
    profile.layers.map((layer) => ({ layer: layer.index, loss: layer[measure] })),
  );
  const { samples, input } = profile;
  return rows === undefined ? [] : [{ name, objective: name, rows, tokens: samples, input, stale }];
}

/** Every table of predicted losses that fits the layers: that of the last budget run, then those of the profile. */
export function lossTables(
  { budget, profile, summary }: CheckpointEntry,
  layers: readonly EditedLayer[],
): readonly LossTable[] {
  const solved = budget?.table === undefined ? undefined : rowsFor(layers, budget.table);
  const ofBudget: LossTable[] =
    budget === undefined || solved === undefined
      ? []
      : [
          {
            name: 'budget',
            objective: tableObjective(budget),
            rows: solved,
            ...(budget.calibrationTokens === undefined ? {} : { tokens: budget.calibrationTokens }),
            stale: isResultStale(budget, summary),
          },
        ];
  const stale = profile !== undefined && isProfileStale(profile, summary);
  const ofProfile =
    profile === undefined
      ? []
      : (['relative-squared', 'lexi'] as const).flatMap((name) => profileTable(name, profile, layers, stale));
  const [first] = ofBudget;
  // A budget run over a profile's own table would show the same numbers twice.
  return [...ofBudget, ...ofProfile.filter(({ objective }) => objective !== first?.objective)];
}

/** How often text chose each expert of the layers; undefined where the text was run on other layers. */
export function expertUse(
  calibration: CalibrateResult,
  layers: readonly EditedLayer[],
  stale: boolean,
): PlanMeasurements['expertUse'] {
  const byLayer = new Map(calibration.layers.map((layer) => [layer.index, layer]));
  const found = layers.flatMap(({ index, experts }) => {
    const layer = byLayer.get(index);
    return layer?.counts.length === experts ? [layer] : [];
  });
  return found.length !== layers.length
    ? undefined
    : {
        tokens: calibration.tokens,
        counts: found.map(({ counts }) => counts),
        weak: found.map(({ coverage }) => [...new Set([...coverage.belowShare, ...coverage.neverChosen])]),
        stale,
      };
}

/** What the run that wrote the prune section of this plan kept. */
function prunedTo(
  plan: Plan | undefined,
  file: string,
  { pruneRuns = [], summary }: CheckpointEntry,
): Pick<PlanMeasurements, 'prunedTo'> {
  const run = pruneRuns.findLast((each) => each.plan === file);
  const prune = plan?.prune;
  const wrote =
    run !== undefined && run.method === prune?.method && run.ratio === prune.ratio && !isResultStale(run, summary);
  return wrote ? { prunedTo: run.keep } : {};
}

/** What is known about the checkpoint of a plan, as the page draws it. */
export function planMeasurements(
  plan: Plan | undefined,
  file: string,
  match: PlanMatch | undefined,
  trusted: boolean,
  seenGates?: Plan['gates'],
): PlanMeasurements {
  const entry = match?.checkpoint;
  const summary = entry?.summary;
  const nothing: Omit<PlanMeasurements, 'state'> = {
    kind: 'measurements',
    layers: [],
    tables: [],
    scored: [],
    gates: [],
    evaluations: [],
    canEvaluate: false,
  };
  if (entry === undefined) {
    return { ...nothing, state: trusted ? 'none' : 'untrusted' };
  }
  const known = { ...nothing, checkpoint: entry.label };
  if (match?.sameFingerprint === false) {
    return { ...known, state: 'other' };
  }
  if (summary === undefined) {
    const { error } = entry;
    const state = !trusted ? 'untrusted' : entry.state === 'failed' ? 'failed' : 'reading';
    return { ...known, state, ...(error === undefined ? {} : { reason: error.describe() }) };
  }
  const layers = editedLayers(summary);
  const { budget, evaluations } = entry;
  const { calibration } = entry;
  const use = calibration && expertUse(calibration, layers, isResultStale(calibration, summary));
  const wrote = budget?.plan === file && plan?.budget?.total === budget.total && !isResultStale(budget, summary);
  return {
    ...known,
    state: 'ready',
    layers,
    tables: [...lossTables(entry, layers)],
    ...(use === undefined ? {} : { expertUse: use }),
    ...(wrote ? { solved: budget.activeExperts } : {}),
    ...prunedTo(plan, file, entry),
    scored: planScores(entry, layers).map(({ method }) => method),
    gates: knownGates(entry, layers, plan, seenGates),
    ...(summary.gateReference === undefined ? {} : { gateReference: summary.gateReference }),
    evaluations: evaluations
      .filter((run) => run.plan === file)
      .map((run) => ({ ...run, stale: isResultStale(run, summary) })),
    canEvaluate: trusted && summary.forward.supported,
  };
}
