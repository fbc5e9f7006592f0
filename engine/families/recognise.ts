import { ConfigReader } from '../checkpoint/configReader';
import type { Checkpoint } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import { commonConfigKeys, commonTensorNames, textConfigPaths } from './configKeys';
import type { ConfigKeys, FamilyRecord, ModelTensorNames, TensorRoot } from './familyRecord';
import { families } from './registry';

/** A checkpoint whose family is known: the record, the config of its text model, and where its tensors are. */
export interface RecognisedModel {
  readonly checkpoint: Checkpoint;
  readonly record: FamilyRecord;
  readonly modelType: string;
  /** Reader of the text model's config; nested ones report full dotted keys. */
  readonly config: ConfigReader;
  readonly keys: ConfigKeys;
  readonly names: ModelTensorNames;
  readonly root: TensorRoot;
}

/** Any of these in a tensor name says that the model has routed experts. */
const expertTrace = /(^|[._])experts?([._]|$)|block_sparse_moe|(^|\.)moe\./;

/** Quantized storage that is recognised and refused by name: suffix of its tensors → what it is. */
const packedSuffixes = [
  { suffix: '.qweight', title: 'GPTQ or AWQ packed weights' },
  { suffix: '.weight_packed', title: 'compressed-tensors packed weights' },
] as const;

/**
 * Finds the family of a checkpoint from its config, never by guessing.
 * @throws TunerError `unknownFamily`, `notMixtureOfExperts`, `unsupportedDtype`, `malformedConfig`
 */
export function recognise(checkpoint: Checkpoint): RecognisedModel {
  const outer = new ConfigReader(checkpoint.config, checkpoint.configFile);
  const candidates = [outer, ...textConfigPaths.map((path) => subReader(outer, path))].filter(
    (reader) => reader !== undefined,
  );
  for (const config of candidates.reverse()) {
    const modelType = config.optionalString(['model_type'])?.value;
    const architectures = architecturesOf(config);
    const record = families.find(
      ({ modelTypes, architectures: known }) =>
        (modelType !== undefined && modelTypes.includes(modelType)) ||
        (modelType === undefined && architectures.some((name) => known.includes(name))),
    );
    if (record === undefined) {
      continue;
    }
    if (record.requires !== undefined && (config.optionalInteger([record.requires])?.value ?? 0) < 1) {
      throw notMoe(checkpoint, `This ${record.title} checkpoint is dense: ${record.requires} is absent or 0.`);
    }
    refusePackedWeights(checkpoint);
    const names = { ...commonTensorNames, ...record.tensors };
    return {
      checkpoint,
      record,
      modelType: modelType ?? record.modelTypes[0]!,
      config,
      keys: { ...commonConfigKeys, ...record.keys },
      names,
      root: findRoot(checkpoint, names),
    };
  }
  throw unknown(checkpoint, outer);
}

function subReader(outer: ConfigReader, path: string): ConfigReader | undefined {
  return typeof outer.raw(path) === 'object' ? outer.sub(path) : undefined;
}

function architecturesOf(config: ConfigReader): string[] {
  const value = config.raw('architectures');
  return Array.isArray(value) ? value.filter((name): name is string => typeof name === 'string') : [];
}

function findRoot(checkpoint: Checkpoint, names: ModelTensorNames): TensorRoot {
  const stem = names.layer.split('{layer}')[0]!;
  const found = names.roots.find(({ root }) => startsAny(checkpoint, root + stem));
  if (found === undefined) {
    throw new TunerError('missingTensor', `No decoder layers were found below any known prefix.`, {
      file: checkpoint.folder,
      place: names.roots.map(({ root }) => root + stem).join(', '),
      wayOut: `The checkpoint has, for example, ${sampleNames(checkpoint)}.`,
    });
  }
  return found;
}

function startsAny(checkpoint: Checkpoint, prefix: string): boolean {
  for (const name of checkpoint.tensors.keys()) {
    if (name.startsWith(prefix)) {
      return true;
    }
  }
  return false;
}

function refusePackedWeights(checkpoint: Checkpoint): void {
  for (const name of checkpoint.tensors.keys()) {
    const packed = packedSuffixes.find(({ suffix }) => name.endsWith(suffix));
    if (packed !== undefined) {
      throw new TunerError('unsupportedDtype', `${packed.title} cannot be read.`, {
        file: checkpoint.tensors.get(name)!.file,
        place: name,
        wayOut: 'Start from the BF16, F16, FP8 or MXFP4 checkpoint of the model.',
      });
    }
  }
}

function unknown(checkpoint: Checkpoint, config: ConfigReader): TunerError {
  const modelType = config.optionalString(['model_type'])?.value;
  const experts = [...checkpoint.tensors.keys()].filter((name) => expertTrace.test(name));
  const hasExpertKey = commonConfigKeys.experts.some((key) => config.has(key));
  if (experts.length === 0 && !hasExpertKey) {
    return notMoe(checkpoint, `The model (model_type ${JSON.stringify(modelType ?? null)}) has no experts.`);
  }
  const known = families.flatMap(({ modelTypes }) => modelTypes).join(', ');
  const message =
    modelType === undefined
      ? 'The config has no model_type, and its architectures name no known family.'
      : `The model family ${JSON.stringify(modelType)} is not known.`;
  return new TunerError('unknownFamily', message, {
    file: checkpoint.configFile,
    place: 'model_type',
    wayOut: `Its tensors look like ${sampleNames(checkpoint, experts)}. Known families: ${known}. A new one is one record in engine/families/records (docs/add-a-family.md).`,
  });
}

function notMoe(checkpoint: Checkpoint, message: string): TunerError {
  return new TunerError('notMixtureOfExperts', message, {
    file: checkpoint.configFile,
    place: 'model_type',
    wayOut: 'Open a mixture-of-experts checkpoint.',
  });
}

function sampleNames(checkpoint: Checkpoint, preferred: readonly string[] = []): string {
  const names = preferred.length > 0 ? preferred : [...checkpoint.tensors.keys()];
  return names.slice(0, 3).join(', ') || 'no tensors at all';
}
