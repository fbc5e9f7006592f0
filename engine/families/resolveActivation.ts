import { TunerError } from '../protocol/errors';
import type { RecognisedModel } from './recognise';
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

/** The activation of a model's networks. @throws TunerError `unsupportedFeature` */
export function resolveActivation(model: RecognisedModel): ActivationSpec {
  const record = model.record.activation;
  if (record.kind === 'fixed') {
    return record.activation;
  }
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
