import { findingCodes, type Finding, type FindingFix, type TextSpan } from '../common/findings';
import { localize } from '../common/localize';
import type { CheckpointEntry } from './checkpointStore';
import { findConfigEntry, looksLikeMixtureOfExperts, type ConfigFacts } from './configFacts';

/** Engine errors that are statements about the checkpoint in this folder, not about a run. */
const checkpointErrorCodes: readonly string[] = [
  'malformedConfig',
  'malformedSafetensors',
  'malformedIndex',
  'missingShard',
  'pathEscapesFolder',
  'missingTensor',
  'contradictoryConfig',
  'unknownFamily',
  'unsupportedFeature',
  'unsupportedDtype',
  'nonFiniteWeights',
];

const firstCharacter: TextSpan = { offset: 0, length: 1 };

/** Nothing is wrong with these files: this build does not know or support them. */
const beyondTheFile: readonly string[] = ['unknownFamily', 'unsupportedFeature', 'unsupportedDtype'];

/** Problems that the text alone shows. */
function textFindings(facts: ConfigFacts): Finding[] {
  const { experts, activeExperts } = facts;
  if (experts === undefined || activeExperts === undefined || typeof experts.value !== 'number') {
    return [];
  }
  const span = activeExperts.valueSpan;
  const setTo = (value: number): FindingFix => ({
    title: localize('Set {key} to {value}', { key: activeExperts.path, value }),
    span,
    replacement: String(value),
  });
  const active = activeExperts.value;
  if (typeof active !== 'number' || !Number.isInteger(active) || active < 1) {
    const message = localize('The number of active experts must be a whole number of at least 1.');
    return [{ code: findingCodes.activeNotPositive, severity: 'error', message, span, fixes: [setTo(1)] }];
  }
  if (active <= experts.value) {
    return [];
  }
  const message = localize('{active} experts cannot be active: the model has {experts} ({key}).', {
    active,
    experts: experts.value,
    key: experts.path,
  });
  return [{ code: findingCodes.activeAboveExperts, severity: 'error', message, span, fixes: [setTo(experts.value)] }];
}

/** Where an engine error points: the key of its repair, or the key its place names, or the model type. */
function placeOf(text: string, facts: ConfigFacts, keys: readonly (string | undefined)[]): TextSpan {
  for (const key of keys) {
    const entry = key === undefined ? undefined : findConfigEntry(text, key);
    if (entry !== undefined) {
      return entry.valueSpan;
    }
  }
  return facts.modelType?.valueSpan ?? facts.experts?.valueSpan ?? firstCharacter;
}

/** Problems that the engine found when it compared the configuration with the tensors. */
function engineFindings(text: string, facts: ConfigFacts, entry: CheckpointEntry): Finding[] {
  const { error, summary } = entry;
  const findings: Finding[] = [];
  if (error !== undefined && checkpointErrorCodes.includes(error.code)) {
    const { fix, place, wayOut } = error.details;
    const target = fix && findConfigEntry(text, fix.key);
    const fixes =
      fix !== undefined && target !== undefined && target.value !== fix.value
        ? [
            {
              title: localize('Set {key} to {value}', { key: fix.key, value: fix.value }),
              span: target.valueSpan,
              replacement: String(fix.value),
            },
          ]
        : [];
    const contradiction = error.code === 'contradictoryConfig';
    findings.push({
      code: contradiction ? findingCodes.contradictsTensors : findingCodes.checkpointProblem,
      severity: beyondTheFile.includes(error.code) ? 'warning' : 'error',
      message: [error.message, wayOut].filter((part) => part !== undefined).join(' '),
      span: placeOf(text, facts, [fix?.key, place]),
      fixes,
    });
  }
  for (const message of summary?.warnings ?? []) {
    const span = placeOf(text, facts, [summary?.configKeys.experts]);
    findings.push({ code: findingCodes.checkpointWarning, severity: 'information', message, span, fixes: [] });
  }
  return findings;
}

/**
 * All problems of a `config.json`.
 *
 * @param saved whether the text is what lies on disk: only then do the engine's findings apply to it
 */
export function configFindings(
  text: string,
  facts: ConfigFacts,
  entry: CheckpointEntry | undefined,
  saved: boolean,
): Finding[] {
  if (!looksLikeMixtureOfExperts(facts)) {
    return [];
  }
  const fromText = textFindings(facts);
  const fromEngine = saved && entry !== undefined ? engineFindings(text, facts, entry) : [];
  // The same contradiction is reported once, by the side that has the quick fix.
  const covered = new Set(fromText.map(({ span }) => span.offset));
  return [...fromText, ...fromEngine.filter(({ span }) => !covered.has(span.offset))];
}
