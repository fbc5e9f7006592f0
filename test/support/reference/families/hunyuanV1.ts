import type { ReferenceCheckpoint } from '../checkpoint';
import type { DecoderModel } from '../decoder';
import { separateExperts } from '../experts';
import { makeRope, readRopeParameters, type Rope } from '../rope';
import { softmaxRouter } from '../router';
import {
  assembleModel,
  denseNetwork,
  headShape,
  hiddenActivation,
  preNorms,
  queryKeyNorms,
  standardAttention,
} from './parts';

/** HunYuan V1: head norms after the rotation, a shared network simply added, k as a number or a list by layer. */
export function buildHunyuanV1(checkpoint: ReferenceCheckpoint, length: number): DecoderModel {
  const { config } = checkpoint;
  const rope = hunyuanRope(checkpoint, length);
  return assembleModel(checkpoint, (index) => {
    const prefix = `${checkpoint.layer(index)}.mlp`;
    return {
      ...preNorms(checkpoint, index),
      mixer: standardAttention(checkpoint, index, rope, {
        queryKeyNorm: queryKeyNorms(checkpoint, index, config.number('rms_norm_eps'), {
          over: 'head',
          when: 'afterRope',
          names: ['query_layernorm', 'key_layernorm'],
        }),
      }),
      feedForward: {
        gate: checkpoint.linear(`${prefix}.gate.wg`),
        router: softmaxRouter({ normOrder: 1 }),
        experts: separateExperts(
          checkpoint,
          `${prefix}.experts`,
          config.perLayer('num_experts', index),
          hiddenActivation(checkpoint),
        ),
        activeExperts: config.perLayer(config.has('moe_topk') ? 'moe_topk' : 'num_experts_per_tok', index),
        weightsApplyTo: 'output',
        shared: denseNetwork(checkpoint, `${prefix}.shared_mlp`),
      },
    };
  });
}

/** With `alpha`, the base is stretched once and for all and nothing else is scaled. */
function hunyuanRope(checkpoint: ReferenceCheckpoint, length: number): Rope {
  const parameters = readRopeParameters(checkpoint.config, { theta: 1e4 });
  const { headDim } = headShape(checkpoint);
  const alpha = parameters.section?.optionalNumber('alpha') ?? 0;
  if (parameters.type !== 'dynamic' || alpha === 0) return makeRope(parameters, headDim, length, 'half');
  const theta = parameters.theta * alpha ** (headDim / (headDim - 2));
  return makeRope({ ...parameters, type: 'default', theta }, headDim, length, 'half');
}
