import { clampedSwiglu } from '../activations';
import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { decodeMxfp4, interleavedExperts, type GatedNetwork } from '../experts';
import type { Tensor } from '../readTensors';
import { topKSoftmaxRouter } from '../router';
import { assembleModel, headRope, preNorms, standardAttention, visibilityOfType } from './parts';

/** gpt-oss: attention sinks, alternate sliding layers, router with bias, clamped SwiGLU with biases, MXFP4 or bf16. */
export function buildGptOss(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 150_000);
  return assembleModel(checkpoint, (index) => {
    const prefix = checkpoint.layer(index);
    const type =
      config.optionalTexts('layer_types')?.[index] ?? (index % 2 === 0 ? 'sliding_attention' : 'full_attention');
    return {
      ...preNorms(checkpoint, index),
      mixer: standardAttention(checkpoint, index, rope, {
        sinks: checkpoint.tensor(`${prefix}.self_attn.sinks`).data,
        visible: visibilityOfType(checkpoint, type),
      }),
      feedForward: {
        gate: checkpoint.linear(`${prefix}.mlp.router`),
        router: topKSoftmaxRouter,
        experts: gptOssExperts(checkpoint, `${prefix}.mlp.experts`),
        activeExperts: config.number('num_experts_per_tok'),
        weightsApplyTo: 'output',
      },
    };
  });
}

function gptOssExperts(checkpoint: ReferenceCheckpoint, prefix: string): GatedNetwork[] {
  const weights = (name: string): Tensor =>
    checkpoint.has(`${prefix}.${name}_blocks`)
      ? decodeMxfp4(checkpoint.tensor(`${prefix}.${name}_blocks`), checkpoint.tensor(`${prefix}.${name}_scales`))
      : checkpoint.tensor(`${prefix}.${name}`);
  return interleavedExperts(
    weights('gate_up_proj'),
    checkpoint.tensor(`${prefix}.gate_up_proj_bias`),
    weights('down_proj'),
    checkpoint.tensor(`${prefix}.down_proj_bias`),
    clampedSwiglu,
  );
}
