import type { ModelSpec, TokenMixerSpec } from '../../families/specification';
import type { RecognisedModel } from '../../families/recognise';
import { cacheShape } from '../../graph/export/cachedAttention';
import { exactPositions } from '../../graph/export/rotaryAngles';
import { decoderNames } from '../../graph/export/sequenceValues';

export const modelFileName = 'model.onnx';
export const genaiConfigName = 'genai_config.json';

/**
 * Model types of ONNX Runtime GenAI (`src/models/model_type.h`) by family. All decoders run alike there; the type decides about prompt
 * templates and the convolution state.
 */
const modelTypes: Readonly<Record<string, string>> = {
  ernie4_5_moe: 'ernie4_5',
  gpt_oss: 'gptoss',
  granitemoe: 'granite',
  lfm2_moe: 'lfm2',
  llama4_text: 'llama',
  mixtral: 'mistral',
  olmoe: 'olmo',
  phimoe: 'phimoe',
  qwen2_moe: 'qwen2',
  qwen3_moe: 'qwen3',
};
const otherModelType = 'decoder';

/** Positions where a config states none. */
const defaultContextLength = 4096;

/** Sizes of the cache as GenAI allocates it; layers whose cache differs are read from the model. */
function cacheSizes(mixers: readonly TokenMixerSpec[]): { heads: number; keyValueHeads: number; headSize: number } {
  for (const mixer of mixers) {
    if (mixer.kind === 'grouped-query') {
      const { heads, keyValueHeads, headSize } = mixer;
      return { heads, keyValueHeads, headSize: cacheShape(heads, keyValueHeads, headSize).cachedSize };
    }
    if (mixer.kind === 'latent') {
      const widest = Math.max(mixer.noRopeSize + mixer.ropeSize, mixer.valueSize);
      const { heads } = mixer;
      return { heads, keyValueHeads: heads, headSize: cacheShape(heads, heads, widest).cachedSize };
    }
  }
  return { heads: 1, keyValueHeads: 1, headSize: 1 };
}

function positionLimit(mixer: TokenMixerSpec): number {
  return mixer.kind === 'short-convolution' || mixer.rotary === undefined ? Infinity : exactPositions(mixer.rotary);
}

/** `genai_config.json` for a decoder whose graph has the names of {@link decoderNames}. */
export function genaiConfigText(model: ModelSpec, recognised: RecognisedModel): string {
  const mixers = model.layers.map(({ mixer }) => mixer);
  const convolution = mixers.find((mixer) => mixer.kind === 'short-convolution');
  const { heads, keyValueHeads, headSize } = cacheSizes(mixers);
  const { config, keys } = recognised;
  const stated = config.optionalInteger(keys.maxPositions)?.value ?? defaultContextLength;
  const contextLength = Math.min(stated, ...mixers.map(positionLimit));
  const token = (name: string): unknown => config.raw(name) ?? undefined;
  const endOfText = token('eos_token_id');
  const firstEnd = Array.isArray(endOfText) ? (endOfText as unknown[])[0] : endOfText;
  const pattern = (name: (layer: number) => string) => name(0).replace('0', '%d');
  const content = {
    model: {
      bos_token_id: token('bos_token_id'),
      context_length: contextLength,
      decoder: {
        session_options: { log_id: 'onnxruntime-genai', provider_options: [] },
        filename: modelFileName,
        head_size: headSize,
        hidden_size: model.hiddenSize,
        inputs: {
          input_ids: decoderNames.ids,
          attention_mask: decoderNames.mask,
          position_ids: decoderNames.positions,
          past_key_names: pattern(decoderNames.pastKey),
          past_value_names: pattern(decoderNames.pastValue),
          ...(convolution === undefined ? {} : { past_conv_names: pattern(decoderNames.pastConvolution) }),
        },
        outputs: {
          logits: decoderNames.logits,
          present_key_names: pattern(decoderNames.presentKey),
          present_value_names: pattern(decoderNames.presentValue),
          ...(convolution === undefined ? {} : { present_conv_names: pattern(decoderNames.presentConvolution) }),
        },
        num_attention_heads: heads,
        num_hidden_layers: model.layers.length,
        num_key_value_heads: keyValueHeads,
        ...(convolution === undefined
          ? {}
          : {
              layer_types: mixers.map(({ kind }) => (kind === 'short-convolution' ? 'conv' : 'full_attention')),
              conv_cache_size: convolution.width,
            }),
      },
      eos_token_id: endOfText,
      pad_token_id: token('pad_token_id') ?? firstEnd,
      type: modelTypes[recognised.record.name] ?? otherModelType,
      vocab_size: model.vocabularySize,
    },
    search: {
      diversity_penalty: 0,
      do_sample: false,
      early_stopping: true,
      length_penalty: 1,
      max_length: contextLength,
      min_length: 0,
      no_repeat_ngram_size: 0,
      num_beams: 1,
      num_return_sequences: 1,
      past_present_share_buffer: convolution === undefined,
      repetition_penalty: 1,
      temperature: 1,
      top_k: 1,
      top_p: 1,
    },
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}
