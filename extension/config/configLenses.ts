import { formatBytes, formatCount } from '../common/format';
import { localize } from '../common/localize';
import type { CommandId } from '../common/commandIds';
import type { CheckpointEntry } from './checkpointStore';
import { looksLikeMixtureOfExperts, type ConfigEntry, type ConfigFacts } from './configFacts';

/** One lens: text above a line of `config.json`, with the command that a click runs, where there is one. */
export interface LensModel {
  readonly anchor: ConfigEntry;
  readonly title: string;
  readonly command?: CommandId | 'workbench.trust.manage';
}

/** What decides which lenses work here. */
export interface LensSituation {
  readonly trusted: boolean;
  /** Whether the file lies where the engine can read it. */
  readonly onDisk: boolean;
}

function activeLenses(
  anchor: ConfigEntry,
  facts: ConfigFacts,
  entry: CheckpointEntry | undefined,
  { trusted, onDisk }: LensSituation,
): LensModel[] {
  const text = localize('{active} of {experts} experts active', {
    active: String(anchor.value),
    experts: String(facts.experts?.value),
  });
  if (!onDisk) {
    return [{ anchor, title: text }];
  }
  if (!trusted) {
    return [
      { anchor, title: text },
      { anchor, title: localize('Trust this folder to measure'), command: 'workbench.trust.manage' },
    ];
  }
  const lenses: LensModel[] = [{ anchor, title: text, command: 'moeTuner.openDashboard' }];
  if (entry?.state === 'failed') {
    return [...lenses, { anchor, title: `$(warning) ${entry.error?.message ?? ''}`, command: 'moeTuner.showLog' }];
  }
  if (entry?.summary?.block.supported !== false) {
    lenses.push({ anchor, title: localize('Profile sensitivity'), command: 'moeTuner.profile' });
    lenses.push({ anchor, title: localize('Find budgets…'), command: 'moeTuner.findBudgets' });
  }
  if (entry?.summary?.forward.supported !== false) {
    lenses.push({ anchor, title: localize('Evaluate…'), command: 'moeTuner.evaluate' });
    lenses.push({ anchor, title: localize('Generate…'), command: 'moeTuner.generate' });
  }
  return lenses;
}

function summaryLenses(
  facts: ConfigFacts,
  entry: CheckpointEntry | undefined,
  { trusted, onDisk }: LensSituation,
): LensModel[] {
  const summary = entry?.summary;
  if (summary === undefined) {
    return [];
  }
  const lenses: LensModel[] = [];
  const command = 'moeTuner.openDashboard';
  const acts = trusted && onDisk && summary.block.supported;
  if (facts.experts !== undefined) {
    const layers = summary.layers.filter((layer) => layer.moe).length;
    const title = localize('{layers} MoE layers · {active} of {all} parameters active', {
      layers,
      active: formatCount(summary.activeParameters),
      all: formatCount(summary.parameters),
    });
    lenses.push({ anchor: facts.experts, title, command });
    if (acts) {
      lenses.push({ anchor: facts.experts, title: localize('Prune…'), command: 'moeTuner.prune' });
      lenses.push({ anchor: facts.experts, title: localize('Merge…'), command: 'moeTuner.merge' });
    }
  }
  if (facts.dtype !== undefined) {
    const title = localize('{all} stored, {experts} of it experts', {
      all: formatBytes(summary.bytes),
      experts: formatBytes(summary.expertBytes),
    });
    lenses.push({ anchor: facts.dtype, title, command });
    if (acts) {
      lenses.push({ anchor: facts.dtype, title: localize('Quantize…'), command: 'moeTuner.quantize' });
    }
  }
  return lenses;
}

/** The lenses of one `config.json`, from its text and what the engine said so far; asks nobody, so it is instant. */
export function configLenses(
  facts: ConfigFacts,
  entry: CheckpointEntry | undefined,
  situation: LensSituation,
): LensModel[] {
  if (!looksLikeMixtureOfExperts(facts)) {
    return [];
  }
  const active = facts.activeExperts;
  const lenses = active === undefined ? [] : activeLenses(active, facts, entry, situation);
  return [...lenses, ...summaryLenses(facts, entry, situation)];
}
