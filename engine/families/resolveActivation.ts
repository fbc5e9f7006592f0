import { TunerError } from '../protocol/errors';
import type { ActivationRecord } from './familyRecord';
import type { RecognisedModel } from './recognise';
import { numberOr } from './resolveRouter';
import type { ActivationSpec } from './specification';

/** Activation names of Transformers configs and what they mean in a gated network. */
const namedActivations: Readonly<Record<string, ActivationSpec>> = {
  silu: { kind: 'silu-gated' },
  swish: { kind: 'silu-gated' },
  gelu: { kind: 'gelu-gated', approximate: 'none' },
  gelu_new: { kind: 'gelu-gated', approximate: 'tanh' },
  gelu_pytorch_tanh: { kind: 'gelu-gated', approximate: 'tanh' },
  relu: { kind: 'relu-gated' },
  relu2: { kind: 'relu-squared' },
};

/** The activation of a model's networks in one layer. @throws TunerError `unsupportedFeature`, `malformedConfig` */
export function resolveActivation(
  model: RecognisedModel,
  layer: number,
  record: ActivationRecord = model.record.activation,
): ActivationSpec {
  switch (record.kind) {
    case 'fixed':
      return record.activation;
    case 'clamped-swiglu':
      return {
        kind: 'clamped-swiglu',
        alpha: numberOr(model.config, [record.alpha.key], record.alpha.absent),
        limit: numberOr(model.config, [record.limit.key], record.limit.absent),
      };
    case 'limited': {
      const limits = model.config.raw(record.limitsKey);
      const limit: unknown = Array.isArray(limits) ? limits[layer] : undefined;
      return typeof limit === 'number' && limit !== 0 ? { kind: 'silu-gated-limited', limit } : { kind: 'silu-gated' };
    }
    case 'named':
      return namedActivation(model, record);
  }
}

function namedActivation(model: RecognisedModel, record: Extract<ActivationRecord, { kind: 'named' }>): ActivationSpec {
  const found = model.config.optionalString(record.keys);
  const name = found?.value ?? record.absent;
  const activation = Object.hasOwn(namedActivations, name) ? namedActivations[name] : undefined;
  if (activation === undefined) {
    throw new TunerError('unsupportedFeature', `The activation "${name}" is not known.`, {
      file: model.checkpoint.configFile,
      place: found?.key ?? record.keys[0],
      wayOut: `Known activations: ${Object.keys(namedActivations).join(', ')}.`,
    });
  }
  return activation;
}
