import { TunerError } from '../protocol/errors';
import type { RecognisedModel } from './recognise';

/** Widths that some configs state beside the tensors; where one is stated it must be true. */
const expertWidthKey = 'moe_intermediate_size';

/**
 * Indices of the decoder layers that have tensors, in ascending order.
 * @throws TunerError `contradictoryConfig` when the config counts a layer that the weights do not have
 */
export function checkLayerCount(model: RecognisedModel, layerCount: number): readonly number[] {
  const prefix = model.root.root + model.names.layer.split('{layer}')[0]!;
  const present = new Set<number>();
  for (const name of model.checkpoint.tensors.keys()) {
    if (name.startsWith(prefix)) {
      present.add(Number.parseInt(name.slice(prefix.length), 10));
    }
  }
  let missing = 0;
  while (present.has(missing)) {
    missing += 1;
  }
  if (missing < layerCount) {
    const key = model.config.integer(model.keys.layers).key;
    throw new TunerError(
      'contradictoryConfig',
      `The config counts ${layerCount} layers, but the weights have no tensor of layer ${missing}.`,
      {
        file: model.checkpoint.configFile,
        place: key,
        wayOut: `Set ${key} to the number of layers in the weights, or download the missing ones.`,
        fix: { key, value: missing },
      },
    );
  }
  return [...present].sort((left, right) => left - right);
}

/** @throws TunerError `contradictoryConfig` when the config states another expert width than the tensors have */
export function checkExpertWidth(model: RecognisedModel, layer: number, width: number): void {
  const stated = model.config.raw(expertWidthKey);
  if (typeof stated !== 'number' || stated === width || model.record.ignoresExpertWidth === true) {
    return;
  }
  const { key } = model.config.number([expertWidthKey]);
  throw new TunerError(
    'contradictoryConfig',
    `The config says that experts are ${stated} wide, but those of layer ${layer} are ${width} wide.`,
    {
      file: model.checkpoint.configFile,
      place: key,
      wayOut: `Set ${key} to ${width}.`,
      fix: { key, value: width },
    },
  );
}
