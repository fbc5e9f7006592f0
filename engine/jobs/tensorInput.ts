import { readFile } from 'node:fs/promises';
import { readSafetensorsHeader } from '../checkpoint/safetensorsHeader';
import { readTensorFloat32 } from '../checkpoint/readTensor';
import { TunerError } from '../protocol/errors';

/** A float32 tensor of a safetensors file. @throws TunerError `malformedTensorInput` when it is absent */
export async function readInputTensor(
  file: string,
  name: string,
): Promise<{ values: Float32Array; shape: readonly number[] }> {
  const { tensors } = await readSafetensorsHeader(file);
  const entry = tensors.find((tensor) => tensor.name === name);
  if (entry === undefined) {
    throw new TunerError('malformedTensorInput', `The file has no tensor "${name}".`, {
      file,
      place: tensors
        .map((tensor) => tensor.name)
        .slice(0, 5)
        .join(', '),
      wayOut: `Write the input as a tensor named "${name}".`,
    });
  }
  return { values: await readTensorFloat32(entry), shape: entry.shape };
}

/** Token ids `[[id, …], …]` from a JSON file; all rows of the same length. @throws TunerError `malformedTensorInput` */
export async function readTokenIds(file: string, vocabularySize: number): Promise<Int32Array[]> {
  const malformed = (message: string, place?: string) =>
    new TunerError('malformedTensorInput', message, {
      file,
      place,
      wayOut: 'Give [[id, id, …], …] with rows of one length.',
    });
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : String(error));
  }
  if (!Array.isArray(parsed) || parsed.length === 0) {
    throw malformed('The file holds no list of token lists.');
  }
  return parsed.map((row: unknown, at) => {
    if (!Array.isArray(row) || row.length === 0) {
      throw malformed('This row is not a list of token ids.', `row ${at}`);
    }
    if (row.length !== (parsed[0] as unknown[]).length) {
      throw malformed(`This row has ${row.length} ids, the first has ${(parsed[0] as unknown[]).length}.`, `row ${at}`);
    }
    const wrong = row.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabularySize);
    if (wrong >= 0) {
      throw malformed(
        `${JSON.stringify(row[wrong])} is not a token id below ${vocabularySize}.`,
        `row ${at}, position ${wrong}`,
      );
    }
    return Int32Array.from(row as number[]);
  });
}

/** Bytes of float32 values, without a copy. */
export function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Token ids `[id, …]` from a JSON file. @throws TunerError `malformedTensorInput` */
export async function readPromptIds(file: string): Promise<number[]> {
  const malformed = (message: string) =>
    new TunerError('malformedTensorInput', message, { file, wayOut: 'Give [id, id, …].' });
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : String(error));
  }
  if (!Array.isArray(parsed) || !parsed.every((id) => Number.isSafeInteger(id) && (id as number) >= 0)) {
    throw malformed('The file is not a list of token ids.');
  }
  return parsed as number[];
}
