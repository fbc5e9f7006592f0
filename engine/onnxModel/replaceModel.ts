import { copyFile, link } from 'node:fs/promises';
import path from 'node:path';
import { toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, type ModelProto } from 'onnx-buf';
import { writeAtomically, writeError } from '../checkpoint/atomicFile';
import { systemErrorCode } from '../checkpoint/textFile';

/** What a model that is changed in place leaves beside itself. */
export interface ReplacedModel {
  /** Name of the file that holds the model as it was before its first change. */
  readonly original: string;
  readonly bytes: number;
}

/**
 * Replaces a model file at once. The model as it was before its first change stays beside it as `NAME.original`: a second name of the
 * same bytes where the file system can, so that it takes no room until then.
 * @throws TunerError `writeFailed`; the model is then as it was
 */
export async function replaceModel(file: string, model: ModelProto): Promise<ReplacedModel> {
  const original = `${file}.original`;
  await keep(file, original);
  const bytes = toBinary(ModelProtoSchema, model);
  await writeAtomically(file, (handle) => handle.writeFile(bytes));
  return { original: path.basename(original), bytes: bytes.byteLength };
}

async function keep(file: string, original: string): Promise<void> {
  try {
    await link(file, original);
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') {
      return;
    }
    await copyFile(file, original).catch((reason: unknown) => {
      throw writeError(reason, original);
    });
  }
}
