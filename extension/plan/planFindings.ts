import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import { findingCodes, type Finding } from '../common/findings';
import { localize } from '../common/localize';
import type { PlanMatch } from './planCheckpoint';
import type { PlanText } from './planText';

const atStart = { offset: 0, length: 1 };

function countFindings(text: PlanText, summary: CheckpointSummary): Finding[] {
  const layers = summary.layers.filter((layer) => layer.moe);
  const budgets = text.plan?.activeExperts;
  if (budgets === undefined || text.activeExpertsProperty === undefined) {
    return [];
  }
  if (budgets.length !== layers.length) {
    const message = localize('{given} numbers for {layers} MoE layers: activeExperts holds one number per MoE layer.', {
      given: budgets.length,
      layers: layers.length,
    });
    const span = text.activeExpertsProperty;
    return [{ code: findingCodes.layerCount, severity: 'error', message, span, fixes: [] }];
  }
  return budgets.flatMap((budget, position): Finding[] => {
    const layer = layers[position];
    const span = text.activeExpertsEntries[position];
    if (layer === undefined || span === undefined || budget <= layer.active) {
      return [];
    }
    const values = { budget, layer: layer.index, experts: layer.experts, active: layer.active };
    const setTo = (value: number): Finding['fixes'] => [
      { title: localize('Set to {value}', { value }), span, replacement: String(value) },
    ];
    if (budget > layer.experts) {
      const message = localize('{budget} experts cannot be active: layer {layer} has {experts}.', values);
      return [{ code: findingCodes.budgetAboveExperts, severity: 'error', message, span, fixes: setTo(layer.active) }];
    }
    const message = localize(
      '{budget} is more than the {active} active experts layer {layer} was trained with.',
      values,
    );
    return [{ code: findingCodes.budgetAboveActive, severity: 'warning', message, span, fixes: setTo(layer.active) }];
  });
}

function otherCheckpointFinding(text: PlanText, match: PlanMatch): Finding {
  const made = text.plan?.source?.checkpoint ?? localize('another checkpoint');
  const message = localize(
    'This plan was made for "{made}" with another fingerprint than "{found}" has: its numbers do not apply.',
    { made, found: match.checkpoint.label },
  );
  const span = text.fingerprintSpan ?? atStart;
  return { code: findingCodes.otherCheckpoint, severity: 'error', message, span, fixes: [] };
}

/** All problems of a plan document: its own format, and what the checkpoint it is about says to it. */
export function planFindings(text: PlanText, match: PlanMatch | undefined): Finding[] {
  const ofFormat = text.issues.map(({ message, span }): Finding => ({
    code: findingCodes.malformedPlan,
    severity: 'error',
    message,
    span,
    fixes: [],
  }));
  if (match === undefined) {
    return ofFormat;
  }
  if (match.sameFingerprint === false) {
    return [...ofFormat, otherCheckpointFinding(text, match)];
  }
  const { summary } = match.checkpoint;
  return summary === undefined ? ofFormat : [...ofFormat, ...countFindings(text, summary)];
}
