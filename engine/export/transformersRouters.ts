/**
 * Where Transformers keeps the active experts of a layer: modules below the decoder layer whose attribute the generated
 * loader sets. Later versions read it from the router, earlier ones from the block, so both are listed; a module that
 * a version does not have is passed over, and a layer without any of them is an error.
 * Read from the model classes of Transformers 4.57 and 5.18.
 */
const insideMlp = ['mlp.gate', 'mlp'] as const;
const routerInMlp = ['mlp.router', 'mlp'] as const;
const mixtralLike = ['mlp.gate', 'mlp', 'block_sparse_moe'] as const;
const granite = ['block_sparse_moe.router'] as const;
const feedForward = ['feed_forward.router', 'feed_forward'] as const;

/** By family name. PhiMoE and JetMoE are left out on purpose: see the targets. */
export const transformersRouters: Readonly<Record<string, readonly string[]>> = {
  afmoe: ['mlp.router'],
  aria_text: ['mlp.router'],
  axk1: insideMlp,
  cohere2_moe: insideMlp,
  dbrx: ['ffn', 'ffn.router'],
  deepseek_v2: insideMlp,
  deepseek_v3: insideMlp,
  deepseek_v32: insideMlp,
  dots1: insideMlp,
  ernie4_5_moe: insideMlp,
  exaone_moe: insideMlp,
  flex_olmo: insideMlp,
  glm4_moe: insideMlp,
  glm4_moe_lite: insideMlp,
  glm4v_moe: insideMlp,
  glm_moe_dsa: insideMlp,
  gpt_oss: routerInMlp,
  granitemoe: granite,
  granitemoehybrid: granite,
  granitemoeshared: granite,
  hy_v3: insideMlp,
  jamba: feedForward,
  kimi_linear: insideMlp,
  laguna: insideMlp,
  lfm2_moe: feedForward,
  llama4_text: feedForward,
  mellum: insideMlp,
  mimo_v2_flash: insideMlp,
  minimax: mixtralLike,
  minimax_m2: mixtralLike,
  minimax_m3_vl: insideMlp,
  mistral4: insideMlp,
  mixtral: mixtralLike,
  nemotron_h: ['mixer.gate', 'mixer'],
  olmoe: insideMlp,
  qwen2_moe: insideMlp,
  qwen3_5_moe: insideMlp,
  qwen3_moe: insideMlp,
  qwen3_next: insideMlp,
  qwen3_vl_moe: insideMlp,
  solar_open: insideMlp,
};

/** Attributes that hold the number; DBRX spelled it its own way before Transformers 5. */
export const routerAttributes = ['top_k', 'moe_top_k'] as const;

/** Lists of decoder layers below the model, in the order in which they are looked for. */
export const layerLists = [
  'model.layers',
  'model.language_model.layers',
  'language_model.model.layers',
  'transformer.blocks',
  'backbone.layers',
] as const;
