import type { ConfigReader } from '../checkpoint/configReader';
import { TunerError } from '../protocol/errors';
import type { MaskRecord } from './familyRecord';
import type { AttentionMask } from './specification';

/** Names in `layer_types` of layers that attend. */
const maskTypes = {
  full_attention: 'full',
  attention: 'full',
  sliding_attention: 'sliding',
  chunked_attention: 'chunked',
} as const;

type MaskType = (typeof maskTypes)[keyof typeof maskTypes];

/** Entry of `layer_types` for one layer, where the config has that list. */
export function layerTypeOf(config: ConfigReader, layer: number): string | undefined {
  const types = config.raw('layer_types');
  const type: unknown = Array.isArray(types) ? types[layer] : undefined;
  return typeof type === 'string' ? type : undefined;
}

/** Which positions one attention layer may see. @throws TunerError `unsupportedFeature`, `malformedConfig` */
export function resolveMask(
  config: ConfigReader,
  record: MaskRecord,
  layer: number,
  usesRotary: boolean,
  configFile: string,
): AttentionMask {
  switch (record.rule) {
    case 'causal':
      return { kind: 'causal' };
    case 'window':
      return slidingOrCausal(config);
    case 'window-flag':
      return config.optionalBoolean(['use_sliding_window'])?.value === true
        ? slidingOrCausal(config)
        : { kind: 'causal' };
    case 'layer-types': {
      const type = maskTypeOf(config, record, layer, usesRotary, configFile);
      if (type === 'sliding') {
        return slidingOrCausal(config);
      }
      if (type === 'chunked') {
        const chunk = config.integer(['attention_chunk_size'], { minimum: 1 }).value;
        return { kind: 'chunked', chunk };
      }
      return { kind: 'causal' };
    }
  }
}

function slidingOrCausal(config: ConfigReader): AttentionMask {
  const window = config.optionalInteger(['sliding_window'])?.value ?? 0;
  return window > 0 ? { kind: 'sliding', window } : { kind: 'causal' };
}

function maskTypeOf(
  config: ConfigReader,
  record: Extract<MaskRecord, { rule: 'layer-types' }>,
  layer: number,
  usesRotary: boolean,
  configFile: string,
): MaskType {
  const named = layerTypeOf(config, layer);
  if (named !== undefined) {
    if (!Object.hasOwn(maskTypes, named)) {
      throw new TunerError('unsupportedFeature', `The attention type "${named}" is not known for this family.`, {
        file: configFile,
        place: `layer_types[${layer}]`,
        wayOut: `Known types: ${Object.keys(maskTypes).join(', ')}.`,
      });
    }
    return maskTypes[named as keyof typeof maskTypes];
  }
  const upperLayers = config.optionalInteger(['max_window_layers'])?.value ?? Infinity;
  switch (record.absent) {
    case 'causal':
      return 'full';
    case 'alternating':
      return layer % 2 === 0 ? 'sliding' : 'full';
    case 'pattern': {
      const pattern = config.optionalInteger(['sliding_window_pattern'])?.value ?? 0;
      return pattern > 0 && (layer + 1) % pattern !== 0 ? 'sliding' : 'full';
    }
    case 'chunked':
      return usesRotary ? 'chunked' : 'full';
    case 'upper-window':
      return layer >= upperLayers ? 'sliding' : 'full';
    case 'qwen2': {
      const slides = config.optionalBoolean(['use_sliding_window'])?.value === true;
      return slides && layer % 2 === 0 && layer < upperLayers ? 'sliding' : 'full';
    }
  }
}
