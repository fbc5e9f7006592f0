import path from 'node:path';
import type { InferenceSession } from 'onnxruntime-node';
import { onnxruntime } from './onnxruntime';
import { preparedOptions, runtimeError, type Feeds, type RuntimeOptions } from './session';

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
    throw runtimeError(error, 'The graph could not be loaded.');
  }
  return {
    async run(feeds) {
      const tensors = Object.entries(feeds).map(([name, { type, data, shape }]) => [
        name,
        new Tensor(type, data as never, shape),
      ]);
      try {
        await session.run(Object.fromEntries(tensors) as InferenceSession.FeedsType);
      } catch (error) {
        throw runtimeError(error, 'A graph failed while it ran.');
      }
    },
    dispose: () => session.release(),
  };
}
