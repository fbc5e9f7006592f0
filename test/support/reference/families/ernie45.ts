import type { ReferenceCheckpoint } from '../checkpoint';
import type { ConfigValues } from '../configValues';
import type { DecoderModel } from '../decoder';
import { separateExperts } from '../experts';
import { biasedRouter } from '../router';
import { assembleModel, denseNetwork, headRope, hiddenActivation, preNorms, standardAttention } from './parts';

/** ERNIE-4.5: interleaved rotation; softmax scores, a bias for the choice only, division by a clamped sum. */
export function buildErnie45(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 5e5, { pairs: 'interleaved' });
  return assembleModel(
    checkpoint,
    (index) => {
      const prefix = `${checkpoint.layer(index)}.mlp`;
      return {
        ...preNorms(checkpoint, index),
        mixer: standardAttention(checkpoint, index, rope),
        feedForward: isMixture(config, index)
          ? {
              gate: { weight: checkpoint.tensor(`${prefix}.gate.weight`), bias: undefined },
              router: biasedRouter({
                score: 'softmax',
                bias: checkpoint.tensor(`${prefix}.moe_statics.e_score_correction_bias`).data,
                divide: { by: 'sumAtLeast', epsilon: config.number('moe_norm_min', 1e-12) },
              }),
              experts: separateExperts(
                checkpoint,
                `${prefix}.experts`,
                config.firstNumber(['moe_num_experts', 'num_experts', 'num_local_experts']),
                hiddenActivation(checkpoint),
              ),
              activeExperts: config.firstNumber(['moe_k', 'num_experts_per_tok']),
              weightsApplyTo: 'output',
              shared:
                config.number('moe_num_shared_experts', 0) > 0
                  ? denseNetwork(checkpoint, `${prefix}.shared_experts`)
                  : undefined,
            }
          : denseNetwork(checkpoint, prefix),
      };
    },
    { tiedByDefault: true },
  );
}

function isMixture(config: ConfigValues, index: number): boolean {
  const last = config.number('moe_layer_end_index', -1);
  return (
    (index + 1) % config.number('moe_layer_interval', 1) === 0 &&
    index >= config.number('moe_layer_start_index', 1) &&
    index <= (last === -1 ? config.number('num_hidden_layers') - 1 : last)
  );
}
