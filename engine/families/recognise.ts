import { ConfigReader } from '../checkpoint/configReader';
import type { Checkpoint } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import { commonConfigKeys, commonTensorNames, textConfigPaths } from './configKeys';
import type { ConfigKeys, FamilyRecord, InMemoryNames, ModelTensorNames, TensorRoot } from './familyRecord';
import { findRoot } from './findRoot';
import { refusePackedWeights, refuseVariant } from './refuseCheckpoint';
import { outsideFamilies } from './outsideFamilies';
import { families } from './registry';
import { notMixtureOfExperts, unknownFamily } from './unknownFamily';

/** A checkpoint whose family is known: the record, the config of its text model, and where its tensors are. */
export interface RecognisedModel {
  readonly checkpoint: Checkpoint;
  readonly record: FamilyRecord;
  readonly modelType: string;
  /** Reader of the text model's config; nested ones report full dotted keys. */
  readonly config: ConfigReader;
  /** Reader of the whole config: the same for text-only checkpoints. */
  readonly outerConfig: ConfigReader;
  readonly keys: ConfigKeys;
  readonly names: ModelTensorNames;
  readonly root: TensorRoot;
}

/**
 * Finds the family of a checkpoint from its config, never by guessing: `model_type` first, then `architectures`, in the
 * innermost text config that names one.
 * @throws TunerError `unknownFamily`, `notMixtureOfExperts`, `unsupportedFeature`, `unsupportedDtype`,
 * `malformedConfig`, `missingTensor`
 */
export function recognise(checkpoint: Checkpoint): RecognisedModel {
  const outerConfig = new ConfigReader(checkpoint.config, checkpoint.configFile);
  const nested = textConfigPaths.map((path) => subReader(outerConfig, path)).filter((reader) => reader !== undefined);
  for (const config of [...nested.reverse(), outerConfig]) {
    refuseOutside(checkpoint, config);
    const record = recordOf(config);
    if (record === undefined) {
      continue;
    }
    const keys = { ...commonConfigKeys, ...record.keys };
    const names = { ...commonTensorNames, ...record.tensors };
    const text = [config, ...nested].find((reader) => keys.hiddenSize.some((key) => reader.has(key))) ?? config;
    if (record.requires !== undefined && (text.optionalInteger([record.requires])?.value ?? 0) < 1) {
      const message = `This ${record.title} checkpoint is dense: ${record.requires} is absent or 0.`;
      throw notMixtureOfExperts(checkpoint, message);
    }
    refuseVariant(checkpoint, record, text);
    refusePackedWeights(checkpoint);
    const root = findRoot(checkpoint, names);
    const read = text.withDefaults(record.defaults ?? {}, Object.values(keys));
    return {
      checkpoint,
      record: { ...record, ...namesInMemory(checkpoint, record, root.root + names.layer) },
      modelType: config.optionalString(['model_type'])?.value ?? record.modelTypes[0]!,
      config: read,
      outerConfig: text === outerConfig ? read : outerConfig,
      keys,
      names,
      root,
    };
  }
  throw unknownFamily(checkpoint, outerConfig);
}

/** The record of a config: its model type decides; architectures do where there is none. */
function recordOf(config: ConfigReader): FamilyRecord | undefined {
  const modelType = config.optionalString(['model_type'])?.value;
  const byArchitecture = families.find((record) =>
    architecturesOf(config).some((name) => record.architectures.includes(name)),
  );
  return modelType === undefined || byArchitecture?.knownByArchitecture === true
    ? byArchitecture
    : families.find(({ modelTypes }) => modelTypes.includes(modelType));
}

/** The names in memory of Transformers 5, where the checkpoint was written with them. */
function namesInMemory(
  { tensors }: Checkpoint,
  { inMemory, router }: FamilyRecord,
  layer: string,
): InMemoryNames | undefined {
  if (inMemory === undefined) {
    return undefined;
  }
  const [before, after] = layer.split('{layer}') as [string, string];
  const { weight, selectionBias } = inMemory.router;
  const ending =
    after + (selectionBias === undefined || selectionBias === router.selectionBias ? weight : selectionBias);
  const written = [...tensors.keys()].some(
    (name) =>
      name.startsWith(before) && name.endsWith(ending) && /^\d+$/.test(name.slice(before.length, -ending.length)),
  );
  return written ? inMemory : undefined;
}

/** @throws TunerError `unsupportedFeature` for families that are known and out of reach */
function refuseOutside(checkpoint: Checkpoint, config: ConfigReader): void {
  const modelType = config.optionalString(['model_type'])?.value;
  const outside = outsideFamilies.find(
    ({ modelTypes, architectures }) =>
      (modelType !== undefined && modelTypes.includes(modelType)) ||
      architecturesOf(config).some((name) => architectures.includes(name)),
  );
  if (outside !== undefined) {
    throw new TunerError('unsupportedFeature', `${outside.title} is known but not supported: ${outside.reason}.`, {
      file: checkpoint.configFile,
      place: 'model_type',
      wayOut: 'Open a checkpoint of a supported family; the documentation lists them.',
    });
  }
}

function subReader(outer: ConfigReader, path: string): ConfigReader | undefined {
  const value = outer.raw(path);
  return typeof value === 'object' && !Array.isArray(value) ? outer.sub(path) : undefined;
}

function architecturesOf(config: ConfigReader): string[] {
  const value = config.raw('architectures');
  return Array.isArray(value) ? value.filter((name): name is string => typeof name === 'string') : [];
}
