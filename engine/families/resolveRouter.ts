import type { ConfigReader, NumberRange } from '../checkpoint/configReader';
import { TunerError } from '../protocol/errors';
import type { FlagKey, GateRuleRecord, RouterRecord } from './familyRecord';
import type { GateRule, RouterSpec } from './specification';
import type { WeightLookup } from './weightLookup';

/** Whether a flag of the config is on. Early Llama 4 configs hold a number in place of true: as in Python, 0 alone is off. */
export function flag(config: ConfigReader, key: FlagKey): boolean {
  const number = key.keys.map((name) => config.raw(name)).find((value) => typeof value === 'number');
  if (number !== undefined) {
    return number !== 0;
  }
  return config.optionalBoolean(key.keys)?.value ?? key.absent;
}

/** A number of the config, or a default where it is absent. @throws TunerError `malformedConfig` outside the range */
export function numberOr(
  config: ConfigReader,
  keys: readonly string[] | undefined,
  absent: number,
  range: NumberRange = {},
): number {
  return keys === undefined ? absent : (config.optionalNumber(keys, range)?.value ?? absent);
}

/** The router pipeline of one layer, with its tensors. @throws TunerError `missingTensor`, `contradictoryConfig` */
export function resolveRouter(
  weights: WeightLookup,
  config: ConfigReader,
  record: RouterRecord,
  layer: { readonly stem: string; readonly hiddenSize: number; readonly experts: number },
): RouterSpec {
  const weight = weights.shaped(layer.stem + record.weight, [layer.experts, layer.hiddenSize]);
  const softcap = numberOr(config, record.softcapKeys, 0);
  const usesBias = record.selectionBiasWhen === undefined || flag(config, record.selectionBiasWhen);
  return {
    weight: weights.source(weight),
    bias: record.bias === undefined ? undefined : weights.vector(layer.stem + record.bias, layer.experts),
    softcap: softcap === 0 ? undefined : softcap,
    score: record.score,
    selectionBias:
      record.selectionBias === undefined ||
      !usesBias ||
      (record.selectionBiasOptional === true && weights.find(layer.stem + record.selectionBias) === undefined)
        ? undefined
        : weights.vector(layer.stem + record.selectionBias, layer.experts),
    groups: resolveGroups(weights, config, record, layer.experts),
    gates: resolveGates(config, record.gates, weights.checkpoint.configFile),
    scale: numberOr(config, record.scaleKeys, 1),
    apply: record.apply ?? 'output',
    sparseMixer:
      record.sparseMixer === undefined
        ? undefined
        : { threshold: numberOr(config, record.sparseMixer.thresholdKeys, record.sparseMixer.absent) },
  };
}

function resolveGroups(
  weights: WeightLookup,
  config: ConfigReader,
  record: RouterRecord,
  experts: number,
): RouterSpec['groups'] {
  const groups = record.groups;
  if (groups === undefined) {
    return undefined;
  }
  if (groups.when !== undefined && config.optionalString([groups.when.key])?.value !== groups.when.equals) {
    return undefined;
  }
  const count = config.optionalInteger(groups.countKeys, { minimum: 1 })?.value ?? 1;
  const kept = config.optionalInteger(groups.keptKeys, { minimum: 1 })?.value ?? 1;
  if (count === 1) {
    return undefined;
  }
  const tooSmall = groups.score === 'top2-sum' && experts / count < 2;
  if (experts % count !== 0 || kept > count || tooSmall) {
    throw new TunerError(
      'contradictoryConfig',
      `${experts} experts cannot form ${count} groups of which ${kept} are kept.`,
      {
        file: weights.checkpoint.configFile,
        place: [...groups.countKeys, ...groups.keptKeys].join(', '),
        wayOut: 'The number of experts must be a multiple of the groups.',
      },
    );
  }
  return { count, kept, score: groups.score, fill: groups.fill };
}

function resolveGates(config: ConfigReader, gates: GateRuleRecord, configFile: string): GateRule {
  switch (gates.kind) {
    case 'sum':
      return gates.when === undefined || flag(config, gates.when)
        ? { kind: 'sum', epsilon: gates.epsilon }
        : { kind: 'score' };
    case 'clamped-sum':
      return { kind: 'clamped-sum', minimum: numberOr(config, gates.minimumKeys, gates.absent) };
    case 'p-norm': {
      const p = config.optionalNumber(gates.keys)?.value;
      return p === undefined ? { kind: 'score' } : { kind: 'p-norm', p };
    }
    case 'by-key': {
      const name = config.optionalString([gates.key])?.value ?? gates.absent;
      const rule = Object.hasOwn(gates.rules, name) ? gates.rules[name] : undefined;
      if (rule === undefined) {
        throw new TunerError('unsupportedFeature', `The routing rule "${name}" is not known.`, {
          file: configFile,
          place: gates.key,
          wayOut: `Known rules: ${Object.keys(gates.rules).join(', ')}.`,
        });
      }
      return resolveGates(config, rule, configFile);
    }
    case 'sigmoid-chosen':
      return { kind: 'sigmoid-chosen', divided: gates.dividedWhen !== undefined && flag(config, gates.dividedWhen) };
    case 'score':
    case 'softmax-chosen':
      return gates;
  }
}
