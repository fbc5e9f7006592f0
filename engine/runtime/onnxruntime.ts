import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type * as OnnxruntimeModule from 'onnxruntime-node';
import { TunerError } from '../protocol/errors';

type Onnxruntime = typeof OnnxruntimeModule;

let directory: string | undefined;
let loaded: { readonly module: Onnxruntime; readonly directory: string | undefined } | undefined;

/** Environment variable that names a runtime folder to a process; empty or unset takes the bundled runtime. */
export const runtimeVariable = 'MOE_TUNER_RUNTIME';

/** Names the folder that onnxruntime-node is taken from, before it is first used; undefined takes the bundled one. */
export function useRuntimeDirectory(folder: string | undefined): void {
  if (loaded !== undefined && loaded.directory !== folder) {
    throw new TunerError('internal', 'One process cannot load two versions of ONNX Runtime.');
  }
  directory = folder;
}

/**
 * onnxruntime-node, loaded when it is first needed.
 * @throws TunerError `fileNotFound`, `runtimeFailed`
 */
export function onnxruntime(): Onnxruntime {
  loaded ??= { module: load(directory), directory };
  return loaded.module;
}

function load(folder: string | undefined): Onnxruntime {
  const require = createRequire(import.meta.url);
  try {
    return require(folder === undefined ? 'onnxruntime-node' : packageIn(folder)) as Onnxruntime;
  } catch (error) {
    if (error instanceof TunerError) {
      throw error;
    }
    const reason = error instanceof Error ? error.message.split('\n', 1)[0]! : String(error);
    throw new TunerError(
      'runtimeFailed',
      `ONNX Runtime could not be loaded. ${reason}`,
      { file: folder, wayOut },
      { cause: error },
    );
  }
}

const wayOut = 'Correct the runtime folder, or leave it empty to use the runtime that comes with MoE Tuner.';

/** The package itself, or a folder that it was installed into. */
function packageIn(folder: string): string {
  const places = [path.join(folder, 'node_modules', 'onnxruntime-node'), folder];
  const found = places.find(
    (place) => existsSync(path.join(place, 'package.json')) && existsSync(path.join(place, 'bin')),
  );
  if (found === undefined) {
    throw new TunerError('fileNotFound', 'The runtime folder holds no onnxruntime-node package.', {
      file: folder,
      wayOut,
    });
  }
  return found;
}
