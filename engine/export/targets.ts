import type { TargetName } from '../protocol/apply';
import { llamaCppArchitectures } from './llamaCppArchitectures';
import { transformersRouters } from './transformersRouters';

/** What a target can load for one family when layers differ in active experts. Reasons complete "…: REASON." */
export type PerLayerSupport =
  /** The family's own config key takes one number per layer. */
  | { readonly kind: 'list' }
  /** Generated code sets the numbers. */
  | { readonly kind: 'loader' }
  /** Only one number for all layers. */
  | { readonly kind: 'uniform'; readonly reason: string }
  | { readonly kind: 'nothing'; readonly reason: string };

/** A runtime that plans can be written for, as data. */
export interface ExportTarget {
  readonly title: string;
  /** What is written where all layers have the same number: a checkpoint, or the arguments that change the given one. */
  readonly uniform: 'checkpoint' | 'arguments';
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
const fixed: Readonly<Record<string, PerLayerSupport>> = {
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

const each = (names: readonly string[], support: PerLayerSupport): Record<string, PerLayerSupport> =>
  Object.fromEntries(names.map((name) => [name, support]));

/** What each runtime accepts: the one place where a new runtime, or a new ability of one, is entered. */
export const exportTargets: Readonly<Record<TargetName, ExportTarget>> = {
  huggingface: {
    title: 'Hugging Face Transformers',
    uniform: 'checkpoint',
    families: { ...each(Object.keys(transformersRouters), loader), hunyuan_v1_moe: list, ...fixed },
    others: uniform('its classes are not part of Transformers, or where they keep the number has not been checked'),
  },
  vllm: {
    title: 'vLLM',
    uniform: 'checkpoint',
    families: { ...each(vllmFusedFamilies, loader), hunyuan_v1_moe: list, ...fixed },
    others: uniform(
      'whether vLLM builds its experts with the fused layer that the plugin changes has not been checked',
    ),
  },
  sglang: {
    title: 'SGLang',
    uniform: 'arguments',
    families: { hunyuan_v1_moe: list, ...fixed },
    others: uniform('SGLang reads one number for all layers, and a list only for Hunyuan V1 MoE'),
  },
  'llama.cpp': {
    title: 'llama.cpp',
    uniform: 'arguments',
    families: {
      ...each(
        Object.keys(llamaCppArchitectures),
        uniform('llama.cpp chooses experts with one number for all layers, --override-kv takes no list'),
      ),
      ...fixed,
    },
    others: nothing('the name of this family in GGUF files is not known'),
  },
  onnx: {
    title: 'ONNX',
    uniform: 'checkpoint',
    families: {},
    others: nothing('this target comes with the ONNX export, which this version does not have yet'),
  },
};

/** What a target can load of a family. */
export function perLayerSupport(target: TargetName, family: string): PerLayerSupport {
  const { families, others } = exportTargets[target];
  return Object.hasOwn(families, family) ? families[family]! : others;
}
