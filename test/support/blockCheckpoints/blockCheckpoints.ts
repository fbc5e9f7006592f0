import { clampedSwiglu, type GatedActivation } from '../reference/activations';
import { projectionStackedExperts, stackedExperts, transposedExperts, type GatedNetwork } from '../reference/experts';
import { addScaled, scaled, sigmoid } from '../reference/linear';
import { softmaxRouter, topKSoftmaxRouter, type Router } from '../reference/router';
import type { TinyTensor } from '../tinyCheckpoints/randomTensors';
import { network, router, tiny, weight } from '../tinyCheckpoints/tinyCheckpoint';
import { blockCheckpoint, type BlockCheckpoint } from './blockCheckpoint';
import { blockTensors, namedBlock, selectionBias, sigmoidRouter, silu, type BlockNames } from './parts';

const count = { num_experts: tiny.experts };
const divided = softmaxRouter({ normOrder: 1 });
const gatedShared = { shared: 'mlp.shared_expert', sharedGate: 'mlp.shared_expert_gate', sharedWidth: 48 } as const;
const stemA = { gate: 'mlp.gate', experts: 'mlp.experts' } as const;
const withShared = { ...stemA, shared: 'mlp.shared_experts' } as const;
const deepseekNames = { ...withShared, selectionBias: 'mlp.gate.e_score_correction_bias' } as const;
const grouped = { n_group: 4, topk_group: 2, norm_topk_prob: true, routed_scaling_factor: 2.5 };
const groups = { count: 4, kept: 2 };

/** A family whose block is the common form with its own names and router. */
function named(
  name: string,
  seed: number,
  config: Record<string, unknown>,
  names: BlockNames,
  route: (...at: Parameters<BlockCheckpoint['reference']>) => Router,
  options: {
    readonly stem?: string;
    readonly activation?: GatedActivation;
    readonly finish?: (output: Float64Array) => Float64Array;
  } = {},
): BlockCheckpoint {
  return blockCheckpoint(
    name,
    seed,
    config,
    blockTensors(names),
    (checkpoint, stem, layer) => ({
      block: namedBlock(checkpoint, stem, names, route(checkpoint, stem, layer), options),
      ...(options.finish === undefined ? {} : { finish: options.finish }),
    }),
    options.stem,
  );
}

/** DeepSeek-V3's router over whatever names. */
function grouping(name: string, seed: number, config: Record<string, unknown>, names: BlockNames): BlockCheckpoint {
  return named(name, seed, { ...grouped, ...config }, names, (checkpoint, stem) =>
    sigmoidRouter(checkpoint, stem + names.selectionBias!, { epsilon: 1e-20, scale: 2.5, groups }),
  );
}

function stackedTensor(name: string, outputs: number, inputs: number, orientation: 'output' | 'input'): TinyTensor {
  return {
    name,
    shape: [tiny.experts, ...(orientation === 'output' ? [outputs, inputs] : [inputs, outputs])],
    role: 'weight',
    fanIn: inputs,
  };
}

/** A mixture whose experts are fused in two tensors. */
function fused(
  name: string,
  seed: number,
  config: Record<string, unknown>,
  names: { readonly gate: string; readonly gateUp: string; readonly down: string; readonly shared?: string },
  route: Router,
  options: {
    readonly orientation: 'output' | 'input';
    readonly sharedGate?: string;
    readonly stem?: string;
    readonly outputBias?: string;
  },
): BlockCheckpoint {
  const width = 40;
  const wide = { moe_intermediate_size: width };
  const text = config.text_config as object | undefined;
  return blockCheckpoint(
    name,
    seed,
    text === undefined ? { ...config, ...wide } : { ...config, text_config: { ...text, ...wide } },
    (stem) => [
      router(stem + names.gate),
      stackedTensor(stem + names.gateUp, 2 * width, tiny.hidden, options.orientation),
      stackedTensor(stem + names.down, tiny.hidden, width, options.orientation),
      ...(names.shared === undefined ? [] : network(stem + names.shared, tiny.expert)),
      ...(options.sharedGate === undefined ? [] : [weight(stem + options.sharedGate, 1, tiny.hidden)]),
      ...(options.outputBias === undefined
        ? []
        : [{ name: stem + options.outputBias, shape: [tiny.hidden], role: 'bias' as const }]),
    ],
    (checkpoint, stem) => {
      const read = options.orientation === 'output' ? stackedExperts : transposedExperts;
      const shared = names.shared === undefined ? undefined : readNetwork(checkpoint, stem + names.shared);
      const bias = options.outputBias === undefined ? undefined : checkpoint.tensor(stem + options.outputBias).data;
      return {
        block: {
          gate: checkpoint.linear(stem + names.gate),
          router: route,
          experts: read(checkpoint.tensor(stem + names.gateUp), checkpoint.tensor(stem + names.down), silu),
          activeExperts: tiny.activeExperts,
          weightsApplyTo: 'output',
          shared,
          sharedGate: options.sharedGate === undefined ? undefined : checkpoint.linear(stem + options.sharedGate),
        },
        ...(bias === undefined ? {} : { finish: (output: Float64Array) => addScaled(output, bias) }),
      };
    },
    options.stem,
  );
}

function readNetwork(checkpoint: Parameters<BlockCheckpoint['reference']>[0], prefix: string): GatedNetwork {
  return {
    gate: checkpoint.linear(`${prefix}.gate_proj`),
    up: checkpoint.linear(`${prefix}.up_proj`),
    down: checkpoint.linear(`${prefix}.down_proj`),
    activation: silu,
  };
}

/** SiLU, then both halves limited (Step-3.5). */
function limited(limit: number): GatedActivation {
  return (gate, up) => Math.min(silu(gate, 1), limit) * Math.min(Math.max(up, -limit), limit);
}

/** Best k logits, then the sigmoid of each divided by their sum. */
const dividedSigmoid: Router = (logits, k) => {
  const { experts, margin } = topKSoftmaxRouter(logits, k);
  const scores = experts.map((expert) => sigmoid(logits[expert]!));
  const sum = scores.reduce((left, right) => left + right, 0);
  return { experts, margin, weights: scores.map((score) => score / sum) };
};

/** Groups by the sum of their two best probabilities, the others at zero (Mistral 4). */
const groupedSoftmax: Router = (logits, k) => {
  const exponentials = logits.map((value) => Math.exp(value));
  const total = exponentials.reduce((left, right) => left + right, 0);
  const scores = exponentials.map((value) => value / total);
  const size = tiny.experts / groups.count;
  const rank = Array.from({ length: groups.count }, (_, group) => {
    const [first, second] = [...scores.slice(group * size, (group + 1) * size)].sort((a, b) => b - a);
    return { group, score: first! + second! };
  }).sort((left, right) => right.score - left.score || left.group - right.group);
  const kept = rank.slice(0, groups.kept).map(({ group }) => group);
  const choice = scores.map((score, expert) => (kept.includes(Math.floor(expert / size)) ? score : 0));
  const experts = [...choice.keys()].sort((a, b) => choice[b]! - choice[a]! || a - b).slice(0, k);
  const sum = experts.reduce((left, expert) => left + scores[expert]!, 0) + 1e-20;
  return { experts, margin: 1, weights: experts.map((expert) => (scores[expert]! / sum) * 2.5) };
};

/** Experts without a gate: `down(relu(up(x))²)`. */
function ungatedNetwork(checkpoint: Parameters<BlockCheckpoint['reference']>[0], prefix: string): GatedNetwork {
  const up = checkpoint.linear(`${prefix}.up_proj`);
  return { gate: up, up, down: checkpoint.linear(`${prefix}.down_proj`), activation: (x) => Math.max(x, 0) ** 2 };
}

const softcapped =
  (route: Router, cap: number): Router =>
  (logits, k) =>
    route(
      logits.map((value) => cap * Math.tanh(value / cap)),
      k,
    );

const nemotronStem = 'backbone.layers.{layer}.';
const graniteNames = {
  gate: 'block_sparse_moe.router.layer',
  gateUp: 'block_sparse_moe.input_linear.weight',
  down: 'block_sparse_moe.output_linear.weight',
} as const;

/** One block checkpoint for every family (and variant) whose blocks run while its forward does not. */
export const blockCheckpoints: readonly BlockCheckpoint[] = [
  named('qwen3_next', 1, { model_type: 'qwen3_next', ...count }, { ...stemA, ...gatedShared }, () => divided),
  named(
    'qwen3_5_moe split, nested',
    2,
    { model_type: 'qwen3_5_moe', text_config: { model_type: 'qwen3_5_moe_text', ...count } },
    { ...stemA, ...gatedShared },
    () => divided,
    { stem: 'model.language_model.layers.{layer}.' },
  ),
  fused(
    'qwen3_5_moe fused',
    3,
    { model_type: 'qwen3_5_moe_text', ...count },
    {
      gate: 'mlp.gate',
      gateUp: 'mlp.experts.gate_up_proj',
      down: 'mlp.experts.down_proj',
      shared: 'mlp.shared_expert',
    },
    divided,
    { orientation: 'output', sharedGate: 'mlp.shared_expert_gate' },
  ),
  named('deepseek', 4, { model_type: 'deepseek', n_routed_experts: 8, n_shared_experts: 1 }, withShared, () =>
    softmaxRouter({}),
  ),
  grouping('deepseek_v32', 5, { model_type: 'deepseek_v32', n_routed_experts: 8 }, deepseekNames),
  grouping('axk1', 6, { model_type: 'axk1', n_routed_experts: 8 }, deepseekNames),
  grouping('glm_moe_dsa', 7, { architectures: ['GlmMoeDsaForCausalLM'], n_routed_experts: 8 }, deepseekNames),
  grouping(
    'mimo_v2_flash',
    8,
    { model_type: 'mimo_v2_flash', n_routed_experts: 8 },
    {
      ...stemA,
      selectionBias: 'mlp.gate.e_score_correction_bias',
    },
  ),
  fused(
    'mistral4',
    9,
    {
      model_type: 'mistral3',
      architectures: ['Mistral3ForConditionalGeneration'],
      text_config: { model_type: 'mistral4', n_routed_experts: 8, ...grouped },
    },
    {
      gate: 'mlp.gate',
      gateUp: 'mlp.experts.gate_up_proj',
      down: 'mlp.experts.down_proj',
      shared: 'mlp.shared_experts',
    },
    groupedSoftmax,
    { orientation: 'output', stem: 'language_model.model.layers.{layer}.' },
  ),
  named(
    'pangu_ultra_moe without bias',
    10,
    { model_type: 'pangu_ultra_moe', num_routed_experts: 8, routed_scaling_factor: 2.5 },
    withShared,
    (checkpoint) => sigmoidRouter(checkpoint, undefined, { epsilon: 1e-20, scale: 2.5 }),
  ),
  named(
    'pangu_ultra_moe with bias',
    11,
    { model_type: 'pangu_ultra_moe', num_routed_experts: 8, norm_topk_prob: true },
    deepseekNames,
    (checkpoint, stem) => sigmoidRouter(checkpoint, stem + deepseekNames.selectionBias, { epsilon: 1e-20 }),
  ),
  named(
    'afmoe',
    12,
    { model_type: 'afmoe', ...count, route_scale: 1.7 },
    { gate: 'mlp.router.gate', experts: 'mlp.experts', selectionBias: 'mlp.expert_bias', shared: 'mlp.shared_experts' },
    (checkpoint, stem) => sigmoidRouter(checkpoint, `${stem}mlp.expert_bias`, { epsilon: 1e-20, scale: 1.7 }),
  ),
  named(
    'laguna with soft cap',
    13,
    { model_type: 'laguna', ...count, moe_router_logit_softcapping: 1.5, moe_routed_scaling_factor: 1.3 },
    { ...stemA, selectionBias: 'mlp.experts.e_score_correction_bias', shared: 'mlp.shared_expert' },
    (checkpoint, stem) =>
      softcapped(
        sigmoidRouter(checkpoint, `${stem}mlp.experts.e_score_correction_bias`, { epsilon: 0, scale: 1.3 }),
        1.5,
      ),
  ),
  named(
    'minimax_m3',
    14,
    {
      model_type: 'minimax_m3_vl',
      text_config: { model_type: 'minimax_m3_vl_text', num_local_experts: 8, routed_scaling_factor: 2 },
    },
    {
      gate: 'block_sparse_moe.gate',
      experts: 'block_sparse_moe.experts',
      numbered: true,
      selectionBias: 'block_sparse_moe.e_score_correction_bias',
      shared: 'block_sparse_moe.shared_experts',
    },
    (checkpoint, stem) =>
      sigmoidRouter(checkpoint, `${stem}block_sparse_moe.e_score_correction_bias`, { epsilon: 0, scale: 2 }),
    { stem: 'language_model.model.layers.{layer}.', activation: clampedSwiglu },
  ),
  blockCheckpoint(
    'step3p5',
    15,
    {
      model_type: 'step3p5',
      num_experts_per_tok: undefined,
      moe_num_experts: tiny.experts,
      moe_top_k: tiny.activeExperts,
      moe_router_scaling_factor: 3,
      swiglu_limits: [0, 0.4, 0],
      swiglu_limits_shared: [0, 0, 0.3],
    },
    (stem) => [
      router(`${stem}moe.gate`),
      selectionBias(`${stem}moe.router_bias`),
      stackedTensor(`${stem}moe.gate_proj.weight`, tiny.expert, tiny.hidden, 'output'),
      stackedTensor(`${stem}moe.up_proj.weight`, tiny.expert, tiny.hidden, 'output'),
      stackedTensor(`${stem}moe.down_proj.weight`, tiny.hidden, tiny.expert, 'output'),
      ...network(`${stem}share_expert`, 48),
    ],
    (checkpoint, stem, layer) => ({
      block: {
        gate: checkpoint.linear(`${stem}moe.gate`),
        router: sigmoidRouter(checkpoint, `${stem}moe.router_bias`, { epsilon: 0, scale: 3 }),
        experts: projectionStackedExperts(
          checkpoint.tensor(`${stem}moe.gate_proj.weight`),
          checkpoint.tensor(`${stem}moe.up_proj.weight`),
          checkpoint.tensor(`${stem}moe.down_proj.weight`),
          layer === 1 ? limited(0.4) : silu,
        ),
        activeExperts: tiny.activeExperts,
        weightsApplyTo: 'output',
        shared: {
          ...readNetwork(checkpoint, `${stem}share_expert`),
          activation: layer === 2 ? limited(0.3) : silu,
        },
      },
    }),
  ),
  named('bailing_moe', 16, { model_type: 'bailing_moe', ...count, norm_topk_prob: true }, withShared, () => divided),
  named(
    'bailing_moe_v2',
    17,
    { model_type: 'bailing_moe_v2', ...count, ...grouped },
    { ...withShared, selectionBias: 'mlp.gate.expert_bias' },
    (checkpoint, stem) =>
      sigmoidRouter(checkpoint, `${stem}mlp.gate.expert_bias`, { epsilon: 1e-20, scale: 2.5, groups }),
  ),
  blockCheckpoint(
    'nemotron_h',
    18,
    { model_type: 'nemotron_h', n_routed_experts: 8, mlp_hidden_act: 'relu2', ...grouped },
    (stem) => [
      router(`${stem}mixer.gate`),
      selectionBias(`${stem}mixer.gate.e_score_correction_bias`),
      ...Array.from({ length: tiny.experts }, (_, expert) => ungated(`${stem}mixer.experts.${expert}`)).flat(),
      ...ungated(`${stem}mixer.shared_experts`),
    ],
    (checkpoint, stem) => ({
      block: {
        gate: checkpoint.linear(`${stem}mixer.gate`),
        router: sigmoidRouter(checkpoint, `${stem}mixer.gate.e_score_correction_bias`, {
          epsilon: 1e-20,
          scale: 2.5,
          groups,
        }),
        experts: Array.from({ length: tiny.experts }, (_, expert) =>
          ungatedNetwork(checkpoint, `${stem}mixer.experts.${expert}`),
        ),
        activeExperts: tiny.activeExperts,
        weightsApplyTo: 'output',
        shared: ungatedNetwork(checkpoint, `${stem}mixer.shared_experts`),
      },
    }),
    nemotronStem,
  ),
  named(
    'jamba',
    19,
    { model_type: 'jamba', ...count },
    { gate: 'feed_forward.router', experts: 'feed_forward.experts' },
    () => softmaxRouter({}),
  ),
  fused(
    'jetmoe',
    20,
    { model_type: 'jetmoe', num_local_experts: 8, activation_function: 'silu' },
    { gate: 'mlp.router.layer', gateUp: 'mlp.input_linear.weight', down: 'mlp.output_linear.weight' },
    topKSoftmaxRouter,
    { orientation: 'output', outputBias: 'mlp.bias' },
  ),
  fused(
    'granitemoehybrid',
    21,
    { model_type: 'granitemoehybrid', num_local_experts: 8 },
    graniteNames,
    topKSoftmaxRouter,
    {
      orientation: 'output',
    },
  ),
  ...['minimax', 'minimax_text_01', 'minimax_m1'].map((type, at) =>
    named(
      type,
      22 + at,
      { model_type: type, num_local_experts: 8 },
      { gate: 'block_sparse_moe.gate', experts: 'block_sparse_moe.experts', numbered: true },
      () => divided,
    ),
  ),
  named(
    'kimi_linear',
    25,
    {
      model_type: 'kimi_linear',
      ...count,
      num_experts_per_tok: undefined,
      num_experts_per_token: tiny.activeExperts,
      num_expert_group: 4,
      topk_group: 2,
      moe_renormalize: true,
      routed_scaling_factor: 2.446,
    },
    {
      gate: 'block_sparse_moe.gate',
      experts: 'block_sparse_moe.experts',
      numbered: true,
      selectionBias: 'block_sparse_moe.gate.e_score_correction_bias',
      shared: 'block_sparse_moe.shared_experts',
    },
    (checkpoint, stem) =>
      sigmoidRouter(checkpoint, `${stem}block_sparse_moe.gate.e_score_correction_bias`, {
        epsilon: 1e-20,
        scale: 2.446,
        groups,
      }),
  ),
  named('llada_moe', 26, { model_type: 'llada_moe', ...count }, stemA, () => softmaxRouter({})),
  named('rnd1', 27, { model_type: 'rnd1', ...count, norm_topk_prob: true }, stemA, () => divided),
  fused(
    'aria',
    28,
    {
      model_type: 'aria',
      text_config: {
        model_type: 'aria_text',
        moe_num_experts: 8,
        moe_topk: tiny.activeExperts,
        num_experts_per_tok: undefined,
      },
    },
    {
      gate: 'mlp.router',
      gateUp: 'mlp.experts.fc1.weight',
      down: 'mlp.experts.fc2.weight',
      shared: 'mlp.shared_experts',
    },
    topKSoftmaxRouter,
    { orientation: 'input', stem: 'language_model.model.layers.{layer}.' },
  ),
  named('cohere2_moe averaged', 29, { model_type: 'cohere2_moe', ...count }, withShared, () => topKSoftmaxRouter, {
    finish: (output) => scaled(output, 0.5),
  }),
  named(
    'cohere2_moe summed, sigmoid',
    30,
    {
      model_type: 'cohere2_moe',
      ...count,
      expert_selection_fn: 'sigmoid',
      norm_topk_prob: true,
      shared_expert_combination_strategy: 'sum',
    },
    withShared,
    () => dividedSigmoid,
  ),
];

function ungated(prefix: string): TinyTensor[] {
  return [
    weight(`${prefix}.up_proj`, tiny.expert, tiny.hidden),
    weight(`${prefix}.down_proj`, tiny.hidden, tiny.expert),
  ];
}
