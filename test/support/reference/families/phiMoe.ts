import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { mixtralNames, separateExperts } from '../experts';
import { layerNorm, type Norm } from '../norms';
import { makeRope, readRopeParameters, type Rope } from '../rope';
import { sparseMixerRouter } from '../router';
import { assembleModel, headShape, hiddenActivation, standardAttention, visibilityOfWindow } from './parts';

/** PhiMoE: LayerNorm with bias, sparse-mixer routing of exactly two experts, LongRoPE with its own magnitudes. */
export function buildPhiMoe(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = phiRope(checkpoint, length);
  const norm = (name: string): Norm =>
    layerNorm(checkpoint.tensor(`${name}.weight`), checkpoint.tensor(`${name}.bias`), config.number('rms_norm_eps'));
  return assembleModel(
    checkpoint,
    (index) => {
      const prefix = `${checkpoint.layer(index)}.block_sparse_moe`;
      return {
        mixerNorm: norm(`${checkpoint.layer(index)}.input_layernorm`),
        mixer: standardAttention(checkpoint, index, rope, {
          visible: visibilityOfWindow(config.optionalNumber('sliding_window')),
        }),
        feedForwardNorm: norm(`${checkpoint.layer(index)}.post_attention_layernorm`),
        feedForward: {
          gate: checkpoint.linear(`${prefix}.gate`),
          router: sparseMixerRouter(config.number('router_jitter_noise', 0.01)),
          experts: separateExperts(
            checkpoint,
            `${prefix}.experts`,
            config.firstNumber(['num_local_experts', 'num_experts']),
            hiddenActivation(checkpoint),
            mixtralNames,
          ),
          activeExperts: 2,
          weightsApplyTo: 'output',
        },
      };
    },
    { finalNorm: norm(`${checkpoint.prefix}norm`) },
  );
}

/**
 * LongRoPE as `PhimoeRotaryEmbedding.forward` of Transformers 5.17 has it: it asks `_compute_longrope_parameters` for frequencies
 * without a sequence length, which gives those of the short factors whatever the length, and puts `short_mscale` or `long_mscale` in
 * place of the computed magnitude. (Transformers 4 passed the length, and so changed the factors too.)
 */
function phiRope(checkpoint: ReferenceCheckpoint, length: number): Rope {
  const parameters = readRopeParameters(checkpoint.config, { theta: 1e6 });
  const rope = makeRope(parameters, headShape(checkpoint).headDim, 0, 'half');
  if (parameters.type === 'default') return rope;
  const key = length > parameters.originalPositions ? 'long_mscale' : 'short_mscale';
  return { ...rope, magnitude: parameters.section?.optionalNumber(key) ?? rope.magnitude };
}
