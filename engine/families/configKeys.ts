import { activeExpertKeys, expertCountKeys } from '../protocol/configAliases';
import type { ConfigKeys, ModelTensorNames } from './familyRecord';

/** Aliases of the facts every MoE config states; the first present one is read, disagreeing ones are an error. */
export const commonConfigKeys: ConfigKeys = {
  experts: expertCountKeys,
  activeExperts: activeExpertKeys,
  layers: ['num_hidden_layers', 'n_layers', 'num_layers'],
  hiddenSize: ['hidden_size', 'd_model'],
  vocabularySize: ['vocab_size'],
  heads: ['num_attention_heads', 'n_heads'],
  keyValueHeads: ['num_key_value_heads'],
  normEpsilon: ['rms_norm_eps', 'norm_eps', 'layer_norm_eps'],
  sharedExperts: ['n_shared_experts', 'num_shared_experts', 'num_shared_expert', 'moe_num_shared_experts'],
  maxPositions: ['max_position_embeddings', 'max_seq_len'],
};

/** Objects that hold the text model's config in multi-modal checkpoints, outermost first. */
export const textConfigPaths = ['text_config', 'language_config', 'llm_config', 'thinker_config.text_config'] as const;

export const commonTensorNames: ModelTensorNames = {
  roots: [
    { root: 'model.', head: 'lm_head' },
    { root: 'model.language_model.', head: 'lm_head' },
    { root: 'language_model.model.', head: 'language_model.lm_head' },
    { root: 'language.model.', head: 'language.lm_head' },
    { root: 'thinker.model.', head: 'thinker.lm_head' },
    { root: '', head: 'lm_head' },
  ],
  layer: 'layers.{layer}.',
  embedding: 'embed_tokens.weight',
  finalNorm: 'norm',
};
