import type { Plan } from '../../engine/protocol/plan';
import type { CheckpointEntry } from '../config/checkpointStore';
import { isProfileStale, isResultStale } from '../config/staleness';
import { formatNumber, formatPercent } from '../common/format';
import { localize } from '../common/localize';
import { damageSentence, decisionSentence, layerDamage, savingSentence, tableObjective } from './layerExplanation';
import { layerPicture } from './layerPicture';
import { evaluationMeasurement } from './planMeasurements';

/** The document a number stands in. */
export interface PlanDocument {
  readonly plan: Plan;
  readonly file: string;
}

/**
 * What one number of `activeExperts` means: the decoder layer it belongs to, which rule decided it, what it is predicted to cost
 * and what one expert more or less would change, what it saves, and what was measured.
 *
 * @param position place in the list, that is the MoE layer counted from 0
 * @param active active experts that the list gives this layer
 * @param document the plan the number stands in, where it is in one
 */
export function planEntryMarkdown(
  position: number,
  active: number,
  checkpoint: CheckpointEntry,
  document?: PlanDocument,
): string | undefined {
  const layer = checkpoint.summary?.layers.filter(({ moe }) => moe)[position];
  if (layer === undefined) {
    return undefined;
  }
  const values = { layer: layer.index, active, trained: layer.active, experts: layer.experts };
  return [
    localize('**Decoder layer {layer}**: {active} of {trained} active experts, {experts} in all', values),
    ...decision(position, active, checkpoint, document),
    ...prediction(layer.index, active, checkpoint),
    savingSentence(active, layer.active),
    ...sensitivity(layer.index, active, checkpoint),
    ...measurement(checkpoint, document),
  ].join('\n\n');
}

/**
 * The same for a number in a list of `config.json`, which may have one number per MoE layer or one per decoder layer.
 *
 * @param place place in the list, counted from 0
 * @param length numbers in the list
 */
export function listedLayerMarkdown(
  place: number,
  length: number,
  active: number,
  checkpoint: CheckpointEntry,
): string | undefined {
  const layers = checkpoint.summary?.layers ?? [];
  if (layers.length === length) {
    const position = layers.filter(({ moe }) => moe).findIndex(({ index }) => index === layers[place]?.index);
    return position === -1 ? undefined : planEntryMarkdown(position, active, checkpoint);
  }
  return layers.filter(({ moe }) => moe).length === length ? planEntryMarkdown(place, active, checkpoint) : undefined;
}

function decision(
  position: number,
  active: number,
  { budget: known, summary }: CheckpointEntry,
  document: PlanDocument | undefined,
): string[] {
  const written = document?.plan.budget;
  if (written === undefined) {
    return [];
  }
  const sentence = decisionSentence({ ...written, measured: written.measuredKl !== undefined });
  const solved = known?.plan === document?.file && !(known && isResultStale(known, summary)) ? known : undefined;
  const chosen = solved?.activeExperts[position];
  return chosen === undefined || chosen === active
    ? [sentence]
    : [sentence, localize('_Changed by hand: the run chose {chosen} here._', { chosen })];
}

function prediction(layer: number, active: number, { budget, summary }: CheckpointEntry): string[] {
  if (budget === undefined || isResultStale(budget, summary)) {
    return [];
  }
  const damage = layerDamage(budget, layer, active);
  return damage === undefined ? [] : [damageSentence(active, damage, tableObjective(budget))];
}

function sensitivity(layer: number, active: number, { profile, summary }: CheckpointEntry): string[] {
  const measured = profile?.layers.find(({ index }) => index === layer);
  const raw = measured?.raw[active - 1];
  const relative = measured?.relativeSquared[active - 1];
  if (profile === undefined || raw === undefined || relative === undefined) {
    return [localize('Not profiled yet.')];
  }
  const line = localize('Sensitivity at k={active}: {raw} per token (relative squared error {relative})', {
    active,
    raw: formatNumber(raw),
    relative: formatPercent(relative),
  });
  const picture = layerPicture(measured?.raw ?? [], active);
  const shown = picture === '' ? [line] : [line, picture];
  return isProfileStale(profile, summary)
    ? [...shown, localize('_Stale: measured before the checkpoint changed._')]
    : shown;
}

function measurement(checkpoint: CheckpointEntry, document: PlanDocument | undefined): string[] {
  const measured = document && evaluationMeasurement(document.plan, document.file, checkpoint);
  if (measured === undefined) {
    return [];
  }
  const line = localize('Last evaluation of this plan: {text}', { text: measured.text });
  return measured.current
    ? [line]
    : [line, localize('_Stale: the numbers or the checkpoint changed after the evaluation._')];
}
