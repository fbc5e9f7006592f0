import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { mixtralNames, separateExperts } from '../experts';
import { softmaxRouter } from '../router';
import { assembleModel, headRope, hiddenActivation, preNorms, standardAttention } from './parts';

/** MiniCPM-MoE: Mixtral's block under `mlp`, with embedding, depth and logit scaling. */
export function buildMiniCpm(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = headRope(checkpoint, length, 1e4);
  const hidden = config.number('hidden_size');
  return assembleModel(
    checkpoint,
    (index) => {
      const prefix = `${checkpoint.layer(index)}.mlp`;
      return {
        ...preNorms(checkpoint, index),
        mixer: standardAttention(checkpoint, index, rope),
        feedForward: {
          gate: checkpoint.linear(`${prefix}.gate`),
          router: softmaxRouter({ normOrder: 1 }),
          experts: separateExperts(
            checkpoint,
            `${prefix}.experts`,
            config.number('num_experts'),
            hiddenActivation(checkpoint),
            mixtralNames,
          ),
          activeExperts: config.number('num_experts_per_tok'),
          weightsApplyTo: 'output',
        },
        residualMultiplier: config.number('scale_depth', 1) / Math.sqrt(config.number('num_hidden_layers')),
      };
    },
    {
      embeddingMultiplier: config.number('scale_emb', 1),
      logitsMultiplier: config.number('dim_model_base', hidden) / hidden,
      tiedByDefault: true,
    },
  );
}
