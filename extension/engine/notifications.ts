import type { MessageConnection } from 'vscode-jsonrpc/node';
import type * as z from 'zod';
import {
  generatedNotification,
  logNotification,
  progressNotification,
  stepEndedNotification,
  stepStartedNotification,
  type NotificationType,
} from '../../engine/protocol/messages';
import type { Log } from '../common/log';
import type { DeadlineWatch } from './deadlineWatch';
import type { PendingJobs } from './pendingJobs';

/** Connects the engine's one-way messages to the watch, the waiting jobs and the log; malformed ones are logged. */
export function listenToNotifications(
  connection: MessageConnection,
  watch: DeadlineWatch,
  pending: PendingJobs,
  log: Log,
): void {
  const listen = <Params extends z.ZodType>(
    type: NotificationType<Params>,
    handle: (params: z.output<Params>) => void,
  ): void => {
    connection.onNotification(type.method, (message: unknown) => {
      watch.heard();
      const parsed = type.params.safeParse(message);
      if (parsed.success) {
        handle(parsed.data);
      } else {
        log.warn(`Malformed notification ${type.method} from the engine: ${parsed.error.message}`);
      }
    });
  };
  listen(progressNotification, ({ job, fraction, message }) => pending.get(job)?.onProgress?.(fraction, message));
  listen(generatedNotification, ({ job, step }) => pending.get(job)?.onGenerated?.(step));
  listen(stepStartedNotification, ({ job, label, deadlineSeconds }) => watch.stepStarted(job, label, deadlineSeconds));
  listen(stepEndedNotification, ({ job }) => watch.stepEnded(job));
  listen(logNotification, ({ level, message }) => log[level](`[engine] ${message}`));
}
