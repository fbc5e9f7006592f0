import path from 'node:path';
import type { ResolvedModel } from '../../families/resolveModel';
import type { ModelSpec } from '../../families/specification';
import { TunerError } from '../../protocol/errors';
import type { TensorPiece } from '../../transform/tensorRewrite';
import type { StreamedFile } from '../artefactFiles';
import { streamWeights } from '../streamWeights';
import { ggufArchitectures, type GgufArchitecture } from './architectures';
import type { PlannedRounding } from './chooseTypes';
import { assertExpressible } from './expressible';
import type { GgmlType } from './ggmlTypes';
import { ggufHeader, padding } from './ggufHeader';
import { modelMetadata } from './modelMetadata';
import { modelTensors, type GgufTensor } from './modelTensors';
import { roundingNotes } from './roundingNotes';
import { tokenizerMetadata } from './tokenizerMetadata';

/** Name of the written file. */
export const ggufFileName = 'model.gguf';

/** Config keys of the longest text. */
const contextKeys = ['max_position_embeddings', 'max_sequence_length', 'max_seq_len', 'seq_length', 'n_positions'];

/** A GGUF file that is ready to be written. */
export interface PlannedGguf {
  readonly file: StreamedFile;
  readonly tensors: readonly GgufTensor[];
  /** Everything before the tensor data. */
  readonly header: Uint8Array;
  readonly notes: readonly string[];
}

/** What llama.cpp calls a family whose GGUF files are written here; undefined for others. */
export function ggufArchitecture(family: string): GgufArchitecture | undefined {
  return Object.hasOwn(ggufArchitectures, family) ? ggufArchitectures[family] : undefined;
}

/**
 * Works out the GGUF file of a changed model before anything is written: names, types and lengths are known from headers.
 * @param model the decoder as a plan leaves it
 * @param rounding what the plan rounds
 * @throws TunerError `unsupportedFeature` for models that llama.cpp computes differently, `malformedConfig`, `malformedTokenizer`
 */
export async function planGguf(
  model: ModelSpec,
  resolved: ResolvedModel,
  rounding: PlannedRounding,
): Promise<PlannedGguf> {
  const { record, checkpoint, config } = resolved.recognised;
  const architecture = ggufArchitecture(record.name);
  if (architecture === undefined) {
    throw new TunerError('unsupportedFeature', `GGUF files of ${record.title} are not written here.`, {
      place: '--target',
    });
  }
  assertExpressible(model, architecture, record.title);
  const tokenizer = await tokenizerMetadata(checkpoint, model.vocabularySize);
  const tensors = modelTensors(model, architecture, rounding);
  const metadata = modelMetadata(model, architecture, {
    name: path.basename(checkpoint.folder),
    contextLength: config.integer(contextKeys, { minimum: 1 }).value,
    mainType: mainType(tensors),
  });
  const header = ggufHeader(new Map([...metadata, ...tokenizer.keys]), tensors);
  const pieces = tensors.flatMap((tensor) => [...tensor.pieces, ...filling(tensor.byteLength)]);
  const bytes = pieces.reduce((sum, { byteLength }) => sum + byteLength, header.byteLength);
  return {
    file: {
      name: ggufFileName,
      bytes,
      stream: (handle, written) => streamWeights(header, pieces, handle, written),
    },
    tensors,
    header,
    notes: [...tokenizer.notes, ...roundingNotes(tensors, rounding), ...rotaryNotes(model)],
  };
}

/** llama.cpp rounds the bounds of YaRN's ramp, as most models were trained; gpt-oss was trained without. */
function rotaryNotes(model: ModelSpec): string[] {
  const { mixer } = model.layers[0]!;
  const scaling = mixer.kind === 'short-convolution' ? undefined : mixer.rotary?.scaling;
  return scaling?.kind === 'yarn' && !scaling.truncate
    ? [
        'llama.cpp rounds the bounds of the YaRN ramp, which this model does not: its outputs differ a little from those of Transformers, as with every GGUF file of this family.',
      ]
    : [];
}

/** Zeros up to the next aligned tensor. */
function filling(length: number): TensorPiece[] {
  const byteLength = padding(length);
  const produce = async function* () {
    yield await Promise.resolve(new Uint8Array(byteLength));
  };
  return byteLength === 0 ? [] : [{ kind: 'computed', byteLength, produce }];
}

/** The type that most bytes have. */
function mainType(tensors: readonly GgufTensor[]): GgmlType {
  const bytes = new Map<GgmlType, number>();
  for (const { type, byteLength } of tensors) {
    bytes.set(type, (bytes.get(type) ?? 0) + byteLength);
  }
  return [...bytes].sort(([, left], [, right]) => right - left)[0]![0];
}
