import { causal, slidingWindow } from '../attention';
import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderLayer, DecoderModel } from '../decoder';
import { separateExperts, separateOrStackedExperts } from '../experts';
import type { Rope } from '../rope';
import { biasedRouter, softmaxRouter } from '../router';
import { deepseekFeedForward } from './deepseekV2';
import { groupLimitedSigmoidRouter } from './deepseekV3';
import {
  assembleModel,
  denseNetwork,
  headRope,
  hiddenActivation,
  preNorms,
  queryKeyNorms,
  standardAttention,
  visibilityOfType,
} from './parts';

/** Grouped-query families whose layers differ from better known ones in one or two facts. */
function groupedQueryModel(
  checkpoint: ReferenceCheckpoint,
  rope: (index: number) => Rope | undefined,
  feedForward: (index: number) => DecoderLayer['feedForward'],
  options: { readonly headNorms: boolean; readonly slides?: (index: number) => boolean },
): DecoderModel {
  const { config } = checkpoint;
  return assembleModel(
    checkpoint,
    (index) => ({
      ...preNorms(checkpoint, index),
      mixer: standardAttention(checkpoint, index, rope(index), {
        visible: options.slides?.(index) === true ? slidingWindow(config.number('sliding_window')) : causal,
        queryKeyNorm: options.headNorms
          ? queryKeyNorms(checkpoint, index, config.number('rms_norm_eps'), { over: 'head' })
          : undefined,
      }),
      feedForward: feedForward(index),
    }),
    // Nested configurations state tied heads beside the text model's own.
    { tiedByDefault: !checkpoint.has('lm_head.weight') && !checkpoint.has('thinker.lm_head.weight') },
  );
}

/** Solar Open: no head norms, every layer a mixture with the router of DeepSeek-V3. */
export function buildSolarOpen(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const rope = headRope(checkpoint, length, 1e6);
  return groupedQueryModel(
    checkpoint,
    () => rope,
    (index) => deepseekFeedForward(checkpoint, index, (prefix) => groupLimitedSigmoidRouter(checkpoint, prefix)),
    { headNorms: false },
  );
}

/** GLM-4V's text model: GLM-4.5 without head norms. */
export function buildGlm4v(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const rope = headRope(checkpoint, length, 1e4, { partialRotaryFactor: 0.5 });
  return groupedQueryModel(
    checkpoint,
    () => rope,
    (index) => deepseekFeedForward(checkpoint, index, (prefix) => groupLimitedSigmoidRouter(checkpoint, prefix)),
    { headNorms: false },
  );
}

/** DeepSeekMoE 16B: softmax router, divided only when the configuration says so. */
export function buildDeepseekV1(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const rope = headRope(checkpoint, length, 1e4);
  const router = softmaxRouter({ normOrder: checkpoint.config.flag('norm_topk_prob', false) ? 1 : undefined });
  return groupedQueryModel(
    checkpoint,
    () => rope,
    (index) => deepseekFeedForward(checkpoint, index, () => router),
    { headNorms: false },
  );
}

/** EXAONE-MoE: sliding layers rotate, full layers know no positions. */
export function buildExaoneMoe(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 1e6);
  const pattern = config.number('sliding_window_pattern', 4);
  const slides = (index: number) =>
    (config.optionalTexts('layer_types')?.[index] ??
      ((index + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention')) === 'sliding_attention';
  return groupedQueryModel(
    checkpoint,
    (index) => (slides(index) ? rope : undefined),
    (index) => {
      const prefix = `${checkpoint.layer(index)}.mlp`;
      if (index < config.number('first_k_dense_replace')) return denseNetwork(checkpoint, prefix);
      return {
        gate: checkpoint.linear(`${prefix}.gate`),
        router: biasedRouter({
          score: 'sigmoid',
          bias: checkpoint.tensor(`${prefix}.e_score_correction_bias`).data,
          groups: { count: config.number('n_group'), kept: config.number('topk_group') },
          divide: config.flag('norm_topk_prob', true) ? { by: 'sumPlus', epsilon: 1e-20 } : undefined,
          scale: config.number('routed_scaling_factor'),
        }),
        experts: experts(checkpoint, index, config.number('num_experts')),
        activeExperts: config.number('num_experts_per_tok'),
        weightsApplyTo: 'output',
        shared: denseNetwork(checkpoint, `${prefix}.shared_experts`),
      };
    },
    { headNorms: true, slides },
  );
}

/** HunYuan V3: head norms before the rotation; sigmoid scores with a bias for the choice. */
export function buildHunyuanV3(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 11158840);
  return groupedQueryModel(
    checkpoint,
    () => rope,
    (index) => {
      const prefix = `${checkpoint.layer(index)}.mlp`;
      if (!checkpoint.has(`${prefix}.expert_bias`)) return denseNetwork(checkpoint, prefix);
      return {
        gate: checkpoint.linear(`${prefix}.router.gate`),
        router: biasedRouter({
          score: 'sigmoid',
          bias: checkpoint.tensor(`${prefix}.expert_bias`).data,
          divide: { by: 'sumPlus', epsilon: 1e-20 },
          scale: config.number('router_scaling_factor'),
        }),
        experts: experts(checkpoint, index, config.number('num_experts')),
        activeExperts: config.number('num_experts_per_tok'),
        weightsApplyTo: 'output',
        shared: denseNetwork(checkpoint, `${prefix}.shared_mlp`),
      };
    },
    { headNorms: true },
  );
}

/** Mellum: window and rotary embedding by layer type. */
export function buildMellum(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const types = config.optionalTexts('layer_types')!;
  const router = softmaxRouter({ normOrder: config.flag('norm_topk_prob', true) ? 1 : undefined });
  return assembleModel(checkpoint, (index) => ({
    ...preNorms(checkpoint, index),
    mixer: standardAttention(checkpoint, index, headRope(checkpoint, length, 1e4, { layerType: types[index]! }), {
      visible: visibilityOfType(checkpoint, types[index]!),
      queryKeyNorm: queryKeyNorms(checkpoint, index, config.number('rms_norm_eps'), { over: 'head' }),
    }),
    feedForward: {
      gate: checkpoint.linear(`${checkpoint.layer(index)}.mlp.gate`),
      router,
      experts: experts(checkpoint, index, config.firstNumber(['num_experts', 'num_local_experts'])),
      activeExperts: config.number('num_experts_per_tok'),
      weightsApplyTo: 'output',
    },
  }));
}

/** Text model of Qwen3-VL-MoE, and the thinker of Qwen3-Omni: Qwen3-MoE with other defaults and storage. */
export function buildQwen3Multimodal(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const alwaysDivided = config.text('model_type').startsWith('qwen3_vl_moe');
  const divided = alwaysDivided || config.flag('norm_topk_prob', false);
  const rope = headRope(checkpoint, length, alwaysDivided ? 5e5 : 1e6);
  return groupedQueryModel(
    checkpoint,
    () => rope,
    (index) => ({
      gate: checkpoint.linear(`${checkpoint.layer(index)}.mlp.gate`),
      router: softmaxRouter({ normOrder: divided ? 1 : undefined }),
      experts: experts(checkpoint, index, config.number('num_experts')),
      activeExperts: config.number('num_experts_per_tok'),
      weightsApplyTo: 'output',
    }),
    { headNorms: true },
  );
}

function experts(checkpoint: ReferenceCheckpoint, index: number, count: number) {
  const prefix = `${checkpoint.layer(index)}.mlp.experts`;
  const activation = hiddenActivation(checkpoint);
  return checkpoint.has(`${prefix}.gate_up_proj`)
    ? separateOrStackedExperts(checkpoint, prefix, count, activation)
    : separateExperts(checkpoint, prefix, count, activation);
}
