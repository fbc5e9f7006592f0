import type { ConfigReader } from '../checkpoint/configReader';
import type { Checkpoint } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import { commonConfigKeys, textConfigPaths } from './configKeys';

/** Any of these in a tensor name says that the model has routed experts. */
const expertTrace = /(^|[._])experts?([._]|$)|block_sparse_moe|(^|\.)moe\./;

/** Tensors that routers are called after. */
const routerTrace = /(^|\.)(router|gate|wg|classifier)(\.|$)/;

/** Names that a message quotes at most. */
const quotedNames = 8;

/** The error for a model without experts. */
export function notMixtureOfExperts(checkpoint: Checkpoint, message: string): TunerError {
  return new TunerError('notMixtureOfExperts', message, {
    file: checkpoint.configFile,
    place: 'model_type',
    wayOut: 'Open a mixture-of-experts checkpoint.',
  });
}

/**
 * The error for a model of no known family: which facts the checkpoint shows, which of them are missing, and the names of
 * its expert tensors with numbers replaced, so that a record can be written from the message.
 */
export function unknownFamily(checkpoint: Checkpoint, config: ConfigReader): TunerError {
  const modelType = config.optionalString(['model_type'])?.value;
  const experts = tensorPatterns(checkpoint, expertTrace);
  const routers = tensorPatterns(checkpoint, routerTrace);
  const countKey = presentKey(config, commonConfigKeys.experts);
  const activeKey = presentKey(config, commonConfigKeys.activeExperts);
  if (experts.length === 0 && countKey === undefined) {
    const named = JSON.stringify(modelType ?? null);
    return notMixtureOfExperts(checkpoint, `The model (model_type ${named}) has no experts.`);
  }
  const missing = [
    ...(countKey === undefined ? ['the config key with the number of experts'] : []),
    ...(activeKey === undefined ? ['the config key with the active experts per token'] : []),
    ...(routers.length === 0 ? ['the name of the router weight'] : []),
    ...(experts.length === 0 ? ['the names of the expert weights'] : []),
    'the routing rule (softmax or sigmoid, renormalised or not), which no checkpoint states',
  ];
  const message =
    modelType === undefined
      ? 'The config has no model_type, and its architectures name no known family.'
      : `The model family ${JSON.stringify(modelType)} is not known.`;
  const seen = [...new Set([...routers, ...experts])].slice(0, quotedNames).join(', ') || 'no expert tensors';
  return new TunerError('unknownFamily', `${message} Missing: ${missing.join('; ')}.`, {
    file: checkpoint.configFile,
    place: 'model_type',
    wayOut: `Its tensors look like ${seen}. A new family is one record in engine/families/records (docs/add-a-family.md).`,
  });
}

function presentKey(config: ConfigReader, keys: readonly string[]): string | undefined {
  return ['', ...textConfigPaths.map((path) => `${path}.`)]
    .flatMap((prefix) => keys.map((key) => prefix + key))
    .find((key) => config.has(key));
}

/** Distinct names that match, numbers replaced: `model.layers.{n}.mlp.experts.{n}.up_proj.weight [768, 2048]`. */
function tensorPatterns(checkpoint: Checkpoint, trace: RegExp): string[] {
  const found = new Map<string, string>();
  for (const { name, shape } of checkpoint.tensors.values()) {
    if (trace.test(name)) {
      const pattern = name.replace(/\.\d+(?=\.)/g, '.{n}');
      if (!found.has(pattern)) {
        found.set(pattern, `${pattern} [${shape.join(', ')}]`);
      }
    }
  }
  return [...found.values()];
}
