import type { TinyTensor } from '../randomTensors';
import { attention, bias, commonConfig, decoder, preNorms, router, tiny, type TinyCheckpoint } from '../tinyCheckpoint';

const width = 64;

const config = {
  ...commonConfig,
  architectures: ['GptOssForCausalLM'],
  model_type: 'gpt_oss',
  intermediate_size: width,
  num_local_experts: tiny.experts,
  num_experts_per_tok: tiny.activeExperts,
  head_dim: tiny.headDim,
  attention_bias: true,
  sliding_window: 16,
  layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
  rms_norm_eps: 1e-5,
  rope_theta: 150000,
  rope_scaling: {
    rope_type: 'yarn',
    factor: 32,
    beta_fast: 32,
    beta_slow: 1,
    truncate: false,
    original_max_position_embeddings: 4096,
  },
};

function layer(name: string, packed: boolean): TinyTensor[] {
  const prefix = `${name}.mlp.experts`;
  const projection = (part: string, outputs: number, inputs: number): TinyTensor =>
    packed
      ? { name: `${prefix}.${part}`, shape: [tiny.experts, outputs, inputs], role: 'weight', storage: 'MXFP4' }
      : { name: `${prefix}.${part}`, shape: [tiny.experts, inputs, outputs], role: 'weight', fanIn: inputs };
  return [
    ...preNorms(name),
    ...attention(name, { bias: true, outputBias: true }),
    { name: `${name}.self_attn.sinks`, shape: [tiny.heads], role: 'sink' },
    router(`${name}.mlp.router`),
    bias(`${name}.mlp.router`, tiny.experts),
    projection('gate_up_proj', 2 * width, tiny.hidden),
    projection('down_proj', tiny.hidden, width),
    { name: `${prefix}.gate_up_proj_bias`, shape: [tiny.experts, 2 * width], role: 'bias' },
    { name: `${prefix}.down_proj_bias`, shape: [tiny.experts, tiny.hidden], role: 'bias' },
  ];
}

export const gptOss: readonly TinyCheckpoint[] = [
  { name: 'gpt_oss', config, seed: 81, tensors: decoder((name) => layer(name, false)) },
  {
    name: 'gpt_oss-mxfp4',
    config: { ...config, quantization_config: { quant_method: 'mxfp4', modules_to_not_convert: [] } },
    seed: 82,
    tensors: decoder((name) => layer(name, true)),
  },
];
