import { families as knownFamilies } from '../families/registry';
import type { TargetName } from '../protocol/apply';
import { ggufArchitectures } from './gguf/architectures';
import { llamaCppArchitectures } from './llamaCppArchitectures';
import { transformersRouters } from './transformersRouters';

/** What a target can load for one family when layers differ in active experts. Reasons complete "…: REASON." */
export type PerLayerSupport =
  /** The family's own config key takes one number per layer. */
  | { readonly kind: 'list' }
  /** Generated code sets the numbers. */
  | { readonly kind: 'loader' }
  /** The written model computes every layer with its own number. */
  | { readonly kind: 'graph' }
  /** Only one number for all layers. */
  | { readonly kind: 'uniform'; readonly reason: string }
  | { readonly kind: 'nothing'; readonly reason: string };

/** What a target can load for one family of the numbers of experts that a plan leaves. Reasons complete "…: REASON." */
export type ExpertCountSupport =
  /** Every MoE layer has its own number. */
  | { readonly kind: 'ragged' }
  /** One number for all MoE layers, which may differ from the original one. */
  | { readonly kind: 'uniform'; readonly reason: string; readonly least?: number }
  /** The experts must stay as they are. */
  | { readonly kind: 'nothing'; readonly reason: string };

/** What a target can load of changed experts. */
export interface ExpertSupport {
  /** By family name. */
  readonly families: Readonly<Record<string, ExpertCountSupport>>;
  /** Every other family. */
  readonly others: ExpertCountSupport;
  /** What a person does with what is written, where it is not simply loaded, by family. */
  readonly note?: (family: string) => string;
}

/** A runtime that plans can be written for, as data. */
export interface ExportTarget {
  readonly title: string;
  /** What it takes where the plan changes the experts themselves: then a checkpoint is always written. */
  readonly experts: ExpertSupport;
  /** What is written where all layers have the same number: a checkpoint, or the arguments that change the given one. */
  readonly uniform: 'checkpoint' | 'arguments' | 'graph';
  /** By family name. */
  readonly families: Readonly<Record<string, PerLayerSupport>>;
  /** Every other family. */
  readonly others: PerLayerSupport;
}

const list = { kind: 'list' } as const;
const loader = { kind: 'loader' } as const;
const uniform = (reason: string): PerLayerSupport => ({ kind: 'uniform', reason });
const nothing = (reason: string): PerLayerSupport => ({ kind: 'nothing', reason });

/** Families whose number cannot be changed by any runtime. */
export const fixedFamilies: Readonly<Record<string, PerLayerSupport>> = {
  phimoe: nothing(
    'the sparse mixer of Phi-3.5-MoE always takes two experts; Transformers ignores another number, others refuse it',
  ),
  jetmoe: nothing(
    'JetMoE takes the number of its attention experts from the same key, and the attention weights only fit that one',
  ),
};

/** Families whose experts vLLM builds through its fused layer, which is told the layer and the number. */
const vllmFusedFamilies = [
  'aria_text',
  'dbrx',
  'deepseek_v2',
  'deepseek_v3',
  'deepseek_v32',
  'dots1',
  'ernie4_5_moe',
  'exaone_moe',
  'flex_olmo',
  'glm4_moe',
  'glm4_moe_lite',
  'glm4v_moe',
  'glm_moe_dsa',
  'gpt_oss',
  'granitemoe',
  'granitemoehybrid',
  'granitemoeshared',
  'jamba',
  'lfm2_moe',
  'llama4_text',
  'minimax_m2',
  'mixtral',
  'nemotron_h',
  'olmoe',
  'qwen2_moe',
  'qwen3_5_moe',
  'qwen3_moe',
  'qwen3_next',
  'qwen3_vl_moe',
] as const;

/**
 * Families whose experts cannot become fewer, or not as few, in any runtime that reads the config of Transformers. Merged and
 * rounded weights need nothing of their own: they are written as weights of the same type, one router row for each.
 */
const expertLimits = (reason: string): Readonly<Record<string, ExpertCountSupport>> => ({
  jetmoe: {
    kind: 'nothing',
    reason:
      'JetMoE takes the number of its attention experts from the same key, and the attention weights only fit that one',
  },
  // Both build a dense layer where the config counts one expert.
  jamba: { kind: 'uniform', reason, least: 2 },
  hunyuan_v1_moe: { kind: 'uniform', reason, least: 2 },
  minicpm: { kind: 'uniform', reason, least: 2 },
});

const oneCount = (title: string): ExpertSupport => {
  const reason = `${title} reads one number of experts for all layers`;
  return { families: expertLimits(reason), others: { kind: 'uniform', reason } };
};

const each = <Support>(names: readonly string[], support: Support): Record<string, Support> =>
  Object.fromEntries(names.map((name) => [name, support]));

/** Families whose MoE blocks are known and whose whole decoder is not. */
const withoutDecoder: Readonly<Record<string, PerLayerSupport>> = Object.fromEntries(
  knownFamilies.flatMap(({ name, title, decoder }) =>
    decoder.supported ? [] : [[name, nothing(`the decoder of ${title} cannot be built here: ${decoder.reason}`)]],
  ),
);

/** What each runtime accepts: the one place where a new runtime, or a new ability of one, is entered. */
export const exportTargets: Readonly<Record<TargetName, ExportTarget>> = {
  huggingface: {
    title: 'Hugging Face Transformers',
    experts: oneCount('Transformers'),
    uniform: 'checkpoint',
    families: { ...each(Object.keys(transformersRouters), loader), hunyuan_v1_moe: list, ...fixedFamilies },
    others: uniform('its classes are not part of Transformers, or where they keep the number has not been checked'),
  },
  vllm: {
    title: 'vLLM',
    experts: oneCount('vLLM'),
    uniform: 'checkpoint',
    families: { ...each(vllmFusedFamilies, loader), hunyuan_v1_moe: list, ...fixedFamilies },
    others: uniform(
      'whether vLLM builds its experts with the fused layer that the plugin changes has not been checked',
    ),
  },
  sglang: {
    title: 'SGLang',
    experts: oneCount('SGLang'),
    uniform: 'arguments',
    families: { hunyuan_v1_moe: list, ...fixedFamilies },
    others: uniform('SGLang reads one number for all layers, and a list only for Hunyuan V1 MoE'),
  },
  'llama.cpp': {
    title: 'llama.cpp',
    experts: {
      families: {
        ...each(Object.keys(llamaCppArchitectures), {
          kind: 'uniform',
          reason: 'a GGUF file has one number of experts for all layers',
        }),
        ...expertLimits('a GGUF file has one number of experts for all layers'),
      },
      others: { kind: 'nothing', reason: 'its converter does not know this family' },
      note: (family) =>
        Object.hasOwn(ggufArchitectures, family)
          ? 'It is written as a GGUF file.'
          : 'GGUF files of this family are not written here: convert the written folder with convert_hf_to_gguf.py of llama.cpp.',
    },
    uniform: 'arguments',
    families: {
      ...each(
        Object.keys(llamaCppArchitectures),
        uniform('llama.cpp chooses experts with one number for all layers, --override-kv takes no list'),
      ),
      ...fixedFamilies,
    },
    others: nothing('the name of this family in GGUF files is not known'),
  },
  onnx: {
    title: 'ONNX',
    experts: { families: {}, others: { kind: 'ragged' } },
    uniform: 'graph',
    families: withoutDecoder,
    others: { kind: 'graph' },
  },
  'compressed-tensors': {
    title: 'compressed-tensors for vLLM',
    experts: oneCount('vLLM'),
    uniform: 'checkpoint',
    families: { hunyuan_v1_moe: list, ...fixedFamilies },
    others: uniform('a packed checkpoint carries no code that would set one number per layer'),
  },
};

/** What a target can load of a family. */
export function perLayerSupport(target: TargetName, family: string): PerLayerSupport {
  const { families, others } = exportTargets[target];
  return Object.hasOwn(families, family) ? families[family]! : others;
}

/** What a target can load of changed experts of a family. */
export function expertCountSupport(target: TargetName, family: string): ExpertCountSupport {
  const { families, others } = exportTargets[target].experts;
  return Object.hasOwn(families, family) ? families[family]! : others;
}
