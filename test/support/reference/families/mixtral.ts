import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { mixtralNames, separateExperts } from '../experts';
import { softmaxRouter } from '../router';
import { assembleModel, headRope, hiddenActivation, preNorms, standardAttention, visibilityOfWindow } from './parts';

/** Mixtral: every layer is a mixture; softmax, best k, divided by their sum. */
export function buildMixtral(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 1e6);
  return assembleModel(checkpoint, (index) => {
    const prefix = `${checkpoint.layer(index)}.block_sparse_moe`;
    return {
      ...preNorms(checkpoint, index),
      mixer: standardAttention(checkpoint, index, rope, {
        visible: visibilityOfWindow(config.optionalNumber('sliding_window')),
      }),
      feedForward: {
        gate: checkpoint.linear(`${prefix}.gate`),
        router: softmaxRouter({ normOrder: 1 }),
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
