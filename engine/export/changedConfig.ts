import { TunerError } from '../protocol/errors';
import { expertCountKeys } from '../protocol/configAliases';
import type { RecognisedModel } from '../families/recognise';
import { tunedWeightsKey } from '../families/tunedWeights';
import { predictionCountKeys } from '../transform/predictionTensors';
import { ownExpertCountKey } from './expertCountKeys';
import { setKey } from './tunedConfig';

/** What the config of a checkpoint with other weights has to say. */
export interface ChangedConfig {
  /** Routed experts of every MoE layer, before and after. */
  readonly experts: { readonly before: number; readonly after: number };
  /** Dotted path of the key that the number was read from. */
  readonly countKey: string;
  /** Identity of the plan that computed weights, where it did more than take experts away. */
  readonly weights: string | undefined;
  /** Texts of the model code that lies beside the checkpoint: aliases of the count that it reads stay. */
  readonly code: readonly string[];
}

/**
 * The text of a config with another number of experts: the family's own key has it, aliases that nothing reads go, and
 * next-token-prediction layers, whose experts would not fit, are counted out.
 * @param original text of the config as it stands in the file
 * @throws TunerError `unsupportedFeature` where the config names single experts, whose numbers change
 */
export function changedConfigText(original: string, model: RecognisedModel, changed: ChangedConfig): string {
  const weights = changed.weights === undefined ? original : setConfigKey(original, model, changed.weights);
  return changed.experts.after === changed.experts.before ? weights : withExpertCount(weights, model, changed);
}

function setConfigKey(text: string, { config }: RecognisedModel, weights: string): string {
  return setKey(text, config.pathOf(tunedWeightsKey).split('.'), weights);
}

function withExpertCount(original: string, model: RecognisedModel, changed: ChangedConfig): string {
  const named = /experts\.\d+/.exec(original)?.[0];
  if (named !== undefined) {
    throw new TunerError('unsupportedFeature', 'The config names single experts, whose numbers the plan changes.', {
      file: model.checkpoint.configFile,
      place: named,
      wayOut: 'Write what it says in terms of layers, or choose a plan that keeps all experts.',
    });
  }
  let text = original;
  for (const [path, value] of countEdits(model, changed)) {
    text = setKey(text, path.split('.'), value);
  }
  for (const reader of new Set([model.config, model.outerConfig])) {
    for (const key of predictionCountKeys) {
      const value = reader.raw(key);
      if (typeof value === 'number' && value !== 0) {
        text = setKey(text, reader.pathOf(key).split('.'), 0);
      }
    }
  }
  return text;
}

/** New values by dotted path; undefined removes the key. */
function countEdits(model: RecognisedModel, changed: ChangedConfig): Map<string, unknown> {
  const { config, outerConfig, keys, record } = model;
  const own = ownExpertCountKey[record.name];
  const authoritative = own !== undefined && config.has(own) ? config.pathOf(own) : changed.countKey;
  const edits = new Map<string, unknown>();
  for (const reader of new Set([outerConfig, config])) {
    for (const key of new Set([...keys.experts, ...expertCountKeys])) {
      const value = reader.raw(key);
      // The same word at the top of a multi-modal config can count the experts of another part.
      const counts = reader === config || repeats(value, changed.experts.before);
      if (value === undefined || !counts) {
        continue;
      }
      const path = reader.pathOf(key);
      const stays = path === authoritative || changed.code.some((code) => new RegExp(`\\b${key}\\b`).test(code));
      edits.set(path, stays ? withCount(value, changed.experts.after) : undefined);
    }
  }
  return edits;
}

/** Hunyuan configs may repeat the number for each layer. */
function repeats(value: unknown, count: number): boolean {
  return Array.isArray(value) ? value.every((each) => each === count) : value === count;
}

function withCount(value: unknown, count: number): unknown {
  return Array.isArray(value) ? value.map(() => count) : count;
}
