import type { ReferenceCheckpoint } from '../checkpoint';
import type { ConfigValues } from '../configValues';
import type { DecoderModel } from '../decoder';
import { softmaxMixture } from './olmoe';
import { assembleModel, denseNetwork, headRope, preNorms, standardAttention, visibilityOfType } from './parts';

/** Qwen1.5-MoE and Qwen2-MoE: biased projections, a shared expert behind a sigmoid gate, sparse steps. */
export function buildQwen2Moe(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 1e4);
  return assembleModel(checkpoint, (index) => {
    const mlp = `${checkpoint.layer(index)}.mlp`;
    return {
      ...preNorms(checkpoint, index),
      mixer: standardAttention(checkpoint, index, rope, {
        visible: visibilityOfType(checkpoint, layerType(config, index)),
      }),
      feedForward: isSparseStep(config, index)
        ? {
            ...softmaxMixture(checkpoint, index),
            shared: denseNetwork(checkpoint, `${mlp}.shared_expert`),
            sharedGate: checkpoint.linear(`${mlp}.shared_expert_gate`),
          }
        : denseNetwork(checkpoint, mlp),
    };
  });
}

/** Whether a Qwen layer is a mixture: not listed as dense, and at a sparse step. */
export function isSparseStep(config: ConfigValues, index: number): boolean {
  const dense = config.optionalNumbers('mlp_only_layers') ?? [];
  return !dense.includes(index) && (index + 1) % config.number('decoder_sparse_step', 1) === 0;
}

function layerType(config: ConfigValues, index: number): string {
  const listed = config.optionalTexts('layer_types');
  if (listed !== undefined) return listed[index]!;
  const slides =
    config.flag('use_sliding_window', false) && index % 2 === 0 && index < config.number('max_window_layers', 28);
  return slides ? 'sliding_attention' : 'full_attention';
}
