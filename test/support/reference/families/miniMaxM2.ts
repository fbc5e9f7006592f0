import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { mixtralNames, separateExperts } from '../experts';
import { biasedRouter } from '../router';
import {
  assembleModel,
  headRope,
  headShape,
  hiddenActivation,
  preNorms,
  queryKeyNorms,
  standardAttention,
} from './parts';

/** MiniMax-M2: norms over whole projections, partial rotation, sigmoid router with a bias at block level. */
export function buildMiniMaxM2(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rotaryWidth = config.optionalNumber('rotary_dim');
  const rope = headRope(checkpoint, length, 5e6, {
    partialRotaryFactor: rotaryWidth === undefined ? 1 : rotaryWidth / headShape(checkpoint).headDim,
  });
  return assembleModel(checkpoint, (index) => {
    const prefix = `${checkpoint.layer(index)}.block_sparse_moe`;
    return {
      ...preNorms(checkpoint, index),
      mixer: standardAttention(checkpoint, index, rope, {
        queryKeyNorm: queryKeyNorms(checkpoint, index, config.number('rms_norm_eps'), { over: 'projection' }),
      }),
      feedForward: {
        gate: checkpoint.linear(`${prefix}.gate`),
        router: biasedRouter({
          score: 'sigmoid',
          bias: checkpoint.tensor(`${prefix}.e_score_correction_bias`).data,
          divide: { by: 'sumPlus', epsilon: 0 },
        }),
        experts: separateExperts(
          checkpoint,
          `${prefix}.experts`,
          config.firstNumber(['num_local_experts', 'num_experts']),
          hiddenActivation(checkpoint),
          mixtralNames,
        ),
        activeExperts: config.number('num_experts_per_tok'),
        weightsApplyTo: 'output',
      },
    };
  });
}
