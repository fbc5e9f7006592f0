import os from 'node:os';
import path from 'node:path';
import type { InferenceSession } from 'onnxruntime-node';
import { TunerError } from '../protocol/errors';
import { onnxruntime } from './onnxruntime';
import type { Feeds, RuntimeOptions } from './session';

/** A graph whose weights were prepared when it was loaded. Dispose it. */
export interface PreparedSession {
  /** Runs the graph and drops its results. */
  run(feeds: Feeds): Promise<void>;
  dispose(): Promise<void>;
}

/**
 * Loads a graph as other programs load an exported model: constants are folded and weights prepared for speed, which takes memory.
 * Weights are byte ranges of files below the root of the file system.
 * @throws TunerError `runtimeFailed`
 */
export async function openPreparedSession(model: Uint8Array, options: RuntimeOptions): Promise<PreparedSession> {
  const { InferenceSession: Session, Tensor } = onnxruntime();
  let session: InferenceSession;
  try {
    session = await Session.create(model, {
      ...preparedOptions(options),
      extra: {
        session: {
          model_external_initializers_file_folder_path: path.parse(process.cwd()).root,
          intra_op: { allow_spinning: '0' },
        },
      },
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TunerError('runtimeFailed', `The graph could not be loaded. ${reason}`, {}, { cause: error });
  }
  return {
    async run(feeds) {
      const tensors = Object.entries(feeds).map(([name, { type, data, shape }]) => [
        name,
        new Tensor(type, data as never, shape),
      ]);
      await session.run(Object.fromEntries(tensors) as InferenceSession.FeedsType);
    },
    dispose: () => session.release(),
  };
}

/** Options of every session that runs an exported model. */
export function preparedOptions(options: RuntimeOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: options.provider === 'cpu' ? ['cpu'] : [options.provider, 'cpu'],
    intraOpNumThreads: options.threads === 0 ? os.availableParallelism() : options.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  };
}
