import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { stackedExperts, type GatedNetwork } from '../experts';
import { matrixShape, rows } from '../linear';
import { topKSoftmaxRouter } from '../router';
import { assembleModel, headRope, hiddenActivation, preNorms, standardAttention } from './parts';

/** GraniteMoE and its shared variant: four multipliers, stacked experts, softmax over the best k. */
export function buildGraniteMoe(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 1e4);
  return assembleModel(
    checkpoint,
    (index) => {
      const prefix = `${checkpoint.layer(index)}.block_sparse_moe`;
      return {
        ...preNorms(checkpoint, index),
        mixer: standardAttention(checkpoint, index, rope, { scale: config.number('attention_multiplier', 1) }),
        feedForward: {
          gate: checkpoint.linear(`${prefix}.router.layer`),
          router: topKSoftmaxRouter,
          experts: stackedExperts(
            checkpoint.tensor(`${prefix}.input_linear.weight`),
            checkpoint.tensor(`${prefix}.output_linear.weight`),
            hiddenActivation(checkpoint),
          ),
          activeExperts: config.number('num_experts_per_tok'),
          weightsApplyTo: 'output',
        },
        besideFeedForward:
          config.number('shared_intermediate_size', 0) > 0
            ? sharedNetwork(checkpoint, `${checkpoint.layer(index)}.shared_mlp`)
            : undefined,
        residualMultiplier: config.number('residual_multiplier', 1),
      };
    },
    {
      embeddingMultiplier: config.number('embedding_multiplier', 1),
      logitsMultiplier: 1 / config.number('logits_scaling', 1),
    },
  );
}

/** The shared network keeps gate and up in one matrix `[2S, H]`. */
function sharedNetwork(checkpoint: ReferenceCheckpoint, prefix: string): GatedNetwork {
  const both = checkpoint.tensor(`${prefix}.input_linear.weight`);
  const width = matrixShape(both)[0] / 2;
  return {
    gate: { weight: rows(both, 0, width), bias: undefined },
    up: { weight: rows(both, width, width), bias: undefined },
    down: checkpoint.linear(`${prefix}.output_linear`),
    activation: hiddenActivation(checkpoint),
  };
}
