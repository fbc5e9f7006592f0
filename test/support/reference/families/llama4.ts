import { causal, chunked, type Mixer } from '../attention';
import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { transposedExperts } from '../experts';
import { rmsNorm } from '../norms';
import type { Rope } from '../rope';
import { topKSigmoidRouter } from '../router';
import { assembleModel, denseNetwork, headRope, hiddenActivation, preNorms, standardAttention } from './parts';

/** Llama-4 text: chunked and position-free layers, and routing weights that scale the experts' input. */
export function buildLlama4(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 5e5, { pairs: 'interleaved' });
  const step = config.number('interleave_moe_layer_step', 1);
  const isMixture = (index: number) =>
    config.optionalNumbers('moe_layers')?.includes(index) ?? (index + 1) % step === 0;
  return assembleModel(checkpoint, (index) => {
    const prefix = `${checkpoint.layer(index)}.feed_forward`;
    return {
      ...preNorms(checkpoint, index),
      mixer: llama4Attention(checkpoint, index, rope),
      feedForward: isMixture(index)
        ? {
            gate: checkpoint.linear(`${prefix}.router`),
            router: topKSigmoidRouter,
            experts: transposedExperts(
              checkpoint.tensor(`${prefix}.experts.gate_up_proj`),
              checkpoint.tensor(`${prefix}.experts.down_proj`),
              hiddenActivation(checkpoint),
            ),
            activeExperts: config.number('num_experts_per_tok'),
            weightsApplyTo: 'input',
            shared: denseNetwork(checkpoint, `${prefix}.shared_expert`),
          }
        : denseNetwork(checkpoint, prefix),
    };
  });
}

/** Rotary layers look within chunks and may normalize heads after the rotation; the others see everything, tempered. */
function llama4Attention(checkpoint: ReferenceCheckpoint, index: number, rope: Rope): Mixer {
  const { config } = checkpoint;
  const listed = config.optionalNumbers('no_rope_layers') ?? [];
  const interval = config.number('no_rope_layer_interval', 4);
  const usesRope = listed.length > 0 ? listed[index] !== 0 : (index + 1) % interval !== 0;
  const type = config.optionalTexts('layer_types')?.[index] ?? (usesRope ? 'chunked_attention' : 'full_attention');
  const headNorm = rmsNorm(undefined, config.number('rms_norm_eps'));
  const floorScale = config.number('floor_scale', 8192);
  const attentionScale = config.number('attn_scale', 0.1);
  return standardAttention(checkpoint, index, usesRope ? rope : undefined, {
    visible: type === 'chunked_attention' ? chunked(config.number('attention_chunk_size', 8192)) : causal,
    queryKeyNorm:
      usesRope && config.flag('use_qk_norm', true)
        ? { query: headNorm, key: headNorm, over: 'head', when: 'afterRope' }
        : undefined,
    queryTemperature:
      !usesRope && config.flag('attn_temperature_tuning', true)
        ? (position) => 1 + attentionScale * Math.log1p(Math.floor((position + 1) / floorScale))
        : undefined,
  });
}
