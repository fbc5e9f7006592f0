/** A model family that is recognised, and why the engine cannot work with it. */
export interface OutsideFamily {
  readonly title: string;
  readonly modelTypes: readonly string[];
  readonly architectures: readonly string[];
  /** Completes the sentence "… is known but not supported: …". */
  readonly reason: string;
}

/** Families whose routing or structure is no setting of the declarative record. */
export const outsideFamilies: readonly OutsideFamily[] = [
  {
    title: 'Switch Transformers',
    modelTypes: ['switch_transformers'],
    architectures: ['SwitchTransformersForConditionalGeneration'],
    reason: 'its experts have a capacity, so that the routing of a token depends on the other tokens of the batch',
  },
  {
    title: 'NLLB-MoE',
    modelTypes: ['nllb-moe', 'nllb_moe'],
    architectures: ['NllbMoeForConditionalGeneration', 'NllbMoeModel'],
    reason: 'it is an encoder-decoder whose experts have a capacity',
  },
  {
    title: 'Doge-MoE',
    modelTypes: ['doge'],
    architectures: ['DogeForCausalLM'],
    reason: 'its experts are rows of embedding tables that a product-key router retrieves',
  },
  {
    title: 'Zaya',
    modelTypes: ['zaya'],
    architectures: ['ZayaForCausalLM'],
    reason: 'its router is a network with a state from layer to layer and a class that skips the layer',
  },
  {
    title: 'Inkling',
    modelTypes: ['inkling_mm_model', 'inkling'],
    architectures: ['InklingForConditionalGeneration'],
    reason: 'routed and shared experts are weighted together by one normalisation',
  },
  {
    title: 'σ-MoE',
    modelTypes: ['sigma_moe'],
    architectures: ['SigmaMoEForCausalLM'],
    reason: 'its research checkpoints have no standard layout',
  },
  {
    title: 'SmallThinker',
    modelTypes: ['smallthinker'],
    architectures: ['SmallThinkerForCausalLM'],
    reason: 'its router reads another tensor than its experts (the input of the attention)',
  },
  {
    title: 'DeepSeek-V4',
    modelTypes: ['deepseek_v4'],
    architectures: ['DeepseekV4ForCausalLM'],
    reason: 'some layers look experts up by token id, and hyper-connections replace the residual stream',
  },
  {
    title: 'LongCat-Flash',
    modelTypes: ['longcat_flash'],
    architectures: ['LongcatFlashForCausalLM'],
    reason: 'its router also chooses among experts that return their input, which have no weights',
  },
  {
    title: 'GroveMoE',
    modelTypes: ['grove_moe'],
    architectures: ['GroveMoeForCausalLM'],
    reason: 'neighbouring experts share a second network whose weight depends on both',
  },
  {
    title: 'ERNIE 4.5 VL MoE',
    modelTypes: ['ernie4_5_vl_moe', 'ernie4_5_moe_vl'],
    architectures: ['Ernie4_5_VLMoeForConditionalGeneration', 'Ernie4_5_VLMoeForCausalLM'],
    reason: 'text and image tokens have experts of different sizes in one numbering',
  },
  {
    title: 'Pangu Pro MoE',
    modelTypes: ['PanguProMoE', 'pangu_pro_moe'],
    architectures: ['PanguProMoEForCausalLM'],
    reason: 'it takes exactly one expert of each group, so that the number of active experts is part of its structure',
  },
  {
    title: 'Gemma 4 MoE',
    modelTypes: ['gemma4', 'gemma4_text'],
    architectures: ['Gemma4ForCausalLM', 'Gemma4ForConditionalGeneration'],
    reason: 'its router reads the residual stream while its experts read a normalised copy of it',
  },
  {
    title: 'Nemotron-H Puzzle',
    modelTypes: ['nemotron_h_puzzle'],
    architectures: ['NemotronHPuzzleForCausalLM'],
    reason: 'every layer has its own number and size of experts',
  },
  {
    title: 'Grok',
    modelTypes: ['grok-1', 'grok_1', 'grok'],
    architectures: ['Grok1ModelForCausalLM', 'Grok1ForCausalLM'],
    reason: 'its checkpoints are split by rank in ways that differ between releases',
  },
  {
    title: 'Arctic',
    modelTypes: ['arctic'],
    architectures: ['ArcticForCausalLM'],
    reason: 'its routing has not been verified against its reference implementation',
  },
  {
    title: 'HunYuan V4',
    modelTypes: ['hy_v4'],
    architectures: ['HYV4ForCausalLM'],
    reason: 'hyper-connections replace the residual stream, and its published storage has not been verified',
  },
  {
    title: 'GLM 5 next',
    modelTypes: ['glm5_next', 'glm5_next_text'],
    architectures: ['Glm5NextForCausalLM', 'Glm5NextForConditionalGeneration'],
    reason: 'its published storage has not been verified',
  },
  {
    title: 'OpenAI privacy filter',
    modelTypes: ['openai_privacy_filter'],
    architectures: ['OpenAIPrivacyFilterForTokenClassification'],
    reason: 'it classifies tokens and is no language model',
  },
];
