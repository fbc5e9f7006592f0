import { TunerError } from '../protocol/errors';
import type { RecognisedModel } from './recognise';

/**
 * Config key of checkpoints that this program wrote: active experts per token, one number per MoE layer in order. No
 * family has such a key; Transformers keeps unknown keys, and typed configs refuse a list in the key of the one number.
 * That key then holds the largest number of the list, which is what a runtime without the list uses in every layer.
 */
export const tunedActiveExpertsKey = 'moe_tuner_active_experts';

/** The list of a tuned checkpoint with the dotted path of its key; undefined where the config has none. */
export function tunedActiveExperts({
  config,
}: RecognisedModel): { readonly key: string; readonly value: readonly number[] } | undefined {
  return config.optionalIntegerList([tunedActiveExpertsKey]);
}

/**
 * @param tuned the list, with the dotted path of its key
 * @param stated active experts as the family's own key states them
 * @throws TunerError `malformedConfig` when the list does not have one positive number per MoE layer; `contradictoryConfig` when
 * the family's own key is not the largest of the list, because then it is unclear which of the two was edited
 */
export function checkTunedActiveExperts(
  { checkpoint }: RecognisedModel,
  tuned: { readonly key: string; readonly value: readonly number[] },
  stated: { readonly key: string; readonly most: number },
  moeLayers: number,
): void {
  if (tuned.value.length !== moeLayers || tuned.value.some((k) => k < 1)) {
    throw new TunerError('malformedConfig', `This list must hold ${moeLayers} positive numbers, one per MoE layer.`, {
      file: checkpoint.configFile,
      place: tuned.key,
      wayOut: 'Correct the list, or remove the key.',
    });
  }
  const most = Math.max(...tuned.value);
  if (most !== stated.most) {
    throw new TunerError(
      'contradictoryConfig',
      `The largest number of ${tuned.key} is ${most}, but ${stated.key} is ${stated.most}.`,
      {
        file: checkpoint.configFile,
        place: stated.key,
        wayOut: `Set ${stated.key} to ${most}, or remove ${tuned.key}.`,
        fix: { key: stated.key, value: most },
      },
    );
  }
}
