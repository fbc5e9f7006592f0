import type { MoeBlockSpec } from '../families/specification';
import type { TargetName } from '../protocol/apply';
import { TunerError } from '../protocol/errors';
import type { Plan } from '../protocol/plan';
import { exportTargets } from './targets';

/** Where a target can have the constant that stands for an expert. */
type ConstantSupport =
  /** The written model computes whatever the plan says. */
  | 'any'
  /** In the bias of the down projection, in families that have one. */
  | 'bias';

const constantSupport: Readonly<Record<TargetName, ConstantSupport>> = {
  huggingface: 'bias',
  vllm: 'bias',
  sglang: 'bias',
  'llama.cpp': 'bias',
  onnx: 'any',
  'compressed-tensors': 'bias',
};

/**
 * What stands for experts that went must have a place in what the target loads. Zeros have: a down projection of zeros.
 * @throws TunerError `unsupportedFeature` where a constant has none
 */
export function assertReplacement(target: TargetName, { prune }: Plan, blocks: readonly MoeBlockSpec[]): void {
  if (prune?.replacement !== 'constant' || constantSupport[target] === 'any') {
    return;
  }
  const without = blocks.find(({ experts }) => experts.some(({ down }) => down.bias === undefined));
  if (without !== undefined) {
    throw new TunerError(
      'unsupportedFeature',
      `${exportTargets[target].title} has no place for the constants that stand for experts: the down projections of this family have no bias.`,
      {
        place: 'prune.replacement',
        wayOut:
          'Choose the target onnx, or let prune write the section anew with --replacement zero (the same size) or none (smaller).',
      },
    );
  }
}
