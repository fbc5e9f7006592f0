import type { MessagePort } from 'node:worker_threads';
import { toTunerError, type ErrorCode, type ErrorDetails } from '../../protocol/errors';
import type { RoundedBytes, RoundingTask } from './roundingTask';

/** What a thread is asked. */
interface RoundingRequest {
  readonly id: number;
  readonly task: RoundingTask;
}

/** What it answers: errors cross threads as data. */
export type RoundingReply =
  | { readonly id: number; readonly results: readonly RoundedBytes[] }
  | {
      readonly id: number;
      readonly failure: { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails };
    };

/** Answers the tasks that come through a port, each with its results or its error. */
export function serveRounding(
  port: MessagePort,
  round: (task: RoundingTask) => Promise<readonly RoundedBytes[]>,
): void {
  port.on('message', ({ id, task }: RoundingRequest) => {
    void answer(id, round(task)).then((reply) => {
      port.postMessage(reply, 'results' in reply ? ownBuffers(reply.results) : []);
    });
  });
}

async function answer(id: number, results: Promise<readonly RoundedBytes[]>): Promise<RoundingReply> {
  try {
    return { id, results: await results };
  } catch (thrown) {
    const { code, message, details } = toTunerError(thrown);
    return { id, failure: { code, message, details } };
  }
}

/** Memory that can change threads without being copied. */
function ownBuffers(results: readonly RoundedBytes[]): ArrayBuffer[] {
  const buffers = results.flatMap(({ bytes: { buffer } }) => (buffer instanceof ArrayBuffer ? [buffer] : []));
  return [...new Set(buffers)];
}
