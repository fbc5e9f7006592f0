import { gatedBy } from '../activations';
import { causal, groupedQueryAttention, type Mixer } from '../attention';
import type { ReferenceCheckpoint } from '../checkpoint';
import type { ConfigValues } from '../configValues';
import { embedding, type DecoderModel } from '../decoder';
import { flatExperts } from '../experts';
import { applyLinear, rows } from '../linear';
import { layerNorm, type Norm } from '../norms';
import { plainFrequencies, type Rope } from '../rope';
import { softmaxRouter } from '../router';

/** DBRX: fused and clamped projections, LayerNorm without bias, flat expert matrices, division by a p-norm. */
export function buildDbrx(checkpoint: ReferenceCheckpoint): DecoderModel {
  const { config } = checkpoint;
  const hidden = config.number('d_model');
  const feedForward = config.section('ffn_config')!;
  const table = checkpoint.tensor('transformer.wte.weight');
  const head = checkpoint.linear('lm_head');
  const norm = (name: string): Norm => layerNorm(checkpoint.tensor(`transformer.${name}.weight`), undefined, 1e-5);
  return {
    vocabulary: table.shape[0]!,
    hidden,
    embed: embedding(table),
    layers: Array.from({ length: config.number('n_layers') }, (_, index) => ({
      mixerNorm: norm(`blocks.${index}.norm_attn_norm.norm_1`),
      mixer: dbrxAttention(checkpoint, index),
      feedForwardNorm: norm(`blocks.${index}.norm_attn_norm.norm_2`),
      feedForward: {
        gate: checkpoint.linear(`transformer.blocks.${index}.ffn.router.layer`),
        router: softmaxRouter({ normOrder: normOrder(feedForward) }),
        experts: dbrxExperts(checkpoint, index, feedForward),
        activeExperts: feedForward.number('moe_top_k'),
        weightsApplyTo: 'output' as const,
      },
    })),
    finalNorm: norm('norm_f'),
    head: (vector) => applyLinear(head, vector),
  };
}

/** The p of the norm; DBRX divides by the plain sum unless the file says null. */
function normOrder(feedForward: ConfigValues): number | undefined {
  return feedForward.optionalNumber('moe_normalize_expert_weights');
}

function dbrxExperts(checkpoint: ReferenceCheckpoint, index: number, feedForward: ConfigValues) {
  const [gate, up, down] = ['w1', 'v1', 'w2'].map((name) =>
    checkpoint.tensor(`transformer.blocks.${index}.ffn.experts.mlp.${name}`),
  );
  const activation = gatedBy(feedForward.section('ffn_act_fn')?.text('name', 'silu') ?? 'silu');
  return flatExperts(gate!, up!, down!, feedForward.number('moe_num_experts'), activation);
}

function dbrxAttention(checkpoint: ReferenceCheckpoint, index: number): Mixer {
  const { config } = checkpoint;
  const attention = config.section('attn_config')!;
  const heads = config.number('n_heads');
  const keyValueHeads = attention.number('kv_n_heads');
  const headDim = config.number('d_model') / heads;
  const prefix = `transformer.blocks.${index}.norm_attn_norm.attn`;
  const fused = checkpoint.tensor(`${prefix}.Wqkv.weight`);
  const part = (start: number, count: number) => ({
    weight: rows(fused, start * headDim, count * headDim),
    bias: undefined,
  });
  const theta =
    attention.optionalNumber('rope_theta') ?? config.section('rope_parameters')?.optionalNumber('rope_theta') ?? 1e4;
  const rope: Rope = { frequencies: plainFrequencies(theta, headDim), magnitude: 1, pairs: 'half' };
  return groupedQueryAttention({
    query: part(0, heads),
    key: part(heads, keyValueHeads),
    value: part(heads + keyValueHeads, keyValueHeads),
    output: checkpoint.linear(`${prefix}.out_proj`),
    heads,
    keyValueHeads,
    headDim,
    scale: headDim ** -0.5,
    visible: causal,
    rope,
    clip: attention.optionalNumber('clip_qkv'),
  });
}
