import type { ConfigReader } from '../checkpoint/configReader';
import type { Checkpoint } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';
import type { FamilyRecord } from './familyRecord';

/** Quantized storage that is recognised and refused by name: suffix of its tensors → what it is; the first that occurs. */
const packedSuffixes = [
  { suffix: '.qweight', title: 'GPTQ or AWQ packed weights' },
  { suffix: '.weight_packed', title: 'compressed-tensors packed weights' },
  { suffix: '.weight_global_scale', title: 'NVFP4 packed weights' },
  { suffix: '.weight_scale_2', title: 'NVFP4 weights of ModelOpt' },
  { suffix: '.SCB', title: '8-bit weights of bitsandbytes' },
  { suffix: '.weight.absmax', title: '4-bit weights of bitsandbytes' },
  { suffix: '.W_q', title: 'HQQ packed weights' },
  { suffix: '.weight_scale', title: 'Weights with a scale per tensor, per channel or of unknown blocks' },
  { suffix: '.scales', title: 'MLX packed weights' },
] as const;

/** @throws TunerError `unsupportedDtype` for weights packed by a quantiser whose format is not documented here */
export function refusePackedWeights(checkpoint: Checkpoint): void {
  const names = [...checkpoint.tensors.keys()];
  for (const { suffix, title } of packedSuffixes) {
    const name = names.find((each) => each.endsWith(suffix));
    if (name !== undefined) {
      throw new TunerError('unsupportedDtype', `${title} cannot be read.`, {
        file: checkpoint.tensors.get(name)!.file,
        place: name,
        wayOut: 'Start from the BF16, F16, FP8 (blocks with weight_scale_inv) or MXFP4 checkpoint of the model.',
      });
    }
  }
}

/** @throws TunerError `unsupportedFeature` for variants of a family that its record does not describe */
export function refuseVariant(checkpoint: Checkpoint, record: FamilyRecord, config: ConfigReader): void {
  const refused = (record.refuses ?? []).find(({ key, equals }) =>
    equals === undefined ? isSet(config.raw(key)) : config.raw(key) === equals,
  );
  if (refused !== undefined) {
    throw new TunerError('unsupportedFeature', `This ${record.title} checkpoint is not supported: ${refused.reason}.`, {
      file: checkpoint.configFile,
      place: refused.key,
      wayOut: `Open a ${record.title} checkpoint without ${refused.key}${refused.equals === undefined ? '' : ` ${refused.equals}`}.`,
    });
  }
}

function isSet(value: unknown): boolean {
  return Array.isArray(value)
    ? value.length > 0
    : value !== undefined && value !== null && value !== 0 && value !== false;
}
