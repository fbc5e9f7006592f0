import { applyEdits, modify } from 'jsonc-parser';
import { configAsJson } from '../checkpoint/openCheckpoint';
import type { RecognisedModel } from '../families/recognise';
import { tunedActiveExpertsKey } from '../families/tunedActiveExperts';
import type { Delivery } from '../protocol/apply';

/** What the config of a tuned checkpoint has to say. */
export interface TunedConfig {
  readonly delivery: Delivery;
  /** Active experts, one number per MoE layer in order. */
  readonly activeExperts: readonly number[];
  /** Decoder indices of the MoE layers, parallel to `activeExperts`. */
  readonly moeLayers: readonly number[];
  readonly layerCount: number;
}

/**
 * The text of a config with the active experts changed and nothing else. The family's own key gets the largest number, or one
 * number per decoder layer where the family takes a list; code that is generated reads the list under a key of our own.
 * @param original text of the config as it stands in the file
 */
export function tunedConfigText(original: string, { config, keys }: RecognisedModel, tuned: TunedConfig): string {
  const most = Math.max(...tuned.activeExperts);
  const stated = keys.activeExperts.filter((key) => config.has(key));
  const listKey = stated.find((key) => Array.isArray(config.raw(key))) ?? stated.find((key) => key === 'moe_topk');
  const values = new Map<string, unknown>(
    stated.map((key) => [
      key,
      tuned.delivery === 'list' && key === (listKey ?? stated[0]) ? byDecoderLayer(tuned) : most,
    ]),
  );
  values.set(tunedActiveExpertsKey, tuned.delivery === 'loader' ? [...tuned.activeExperts] : undefined);
  let text = original;
  for (const [key, value] of values) {
    if (value !== undefined || config.has(key)) {
      text = setKey(text, config.pathOf(key).split('.'), value);
    }
  }
  return text;
}

/** One number per decoder layer; dense layers get the largest, which nothing reads. */
function byDecoderLayer({ activeExperts, moeLayers, layerCount }: TunedConfig): number[] {
  const most = Math.max(...activeExperts);
  const byLayer = new Map(moeLayers.map((layer, at) => [layer, activeExperts[at]!]));
  return Array.from({ length: layerCount }, (_, layer) => byLayer.get(layer) ?? most);
}

/** Sets a key of a config's text, or removes it where the value is undefined; nothing else in the text changes. */
export function setKey(text: string, path: string[], value: unknown): string {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const formattingOptions = { insertSpaces: true, tabSize: 2, eol };
  // Offsets in the readable text hold for the original.
  return applyEdits(text, modify(configAsJson(text), path, value, { formattingOptions }));
}
