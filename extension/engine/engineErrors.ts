import { ErrorCodes, ResponseError } from 'vscode-jsonrpc/node';
import { errorCodes, toTunerError, TunerError, type ErrorCode } from '../../engine/protocol/errors';
import { errorDataSchema } from '../../engine/protocol/messages';
import type { EngineExit } from './engineProcess';

const finishedLayersAreKept = 'Finished layers are kept: run the command again to continue from there.';

/** How many lines of the engine's last output an error message quotes. */
const quotedLines = 4;

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCodes, code);
}

/** The error that a JSON-RPC error response stands for; an unknown code becomes `internal`. */
export function fromResponseError(error: unknown): TunerError {
  if (!(error instanceof ResponseError)) {
    return toTunerError(error);
  }
  const data = errorDataSchema.safeParse(error.data);
  if (!data.success) {
    return new TunerError('internal', error.message, {}, { cause: error });
  }
  const { code, ...details } = data.data;
  return new TunerError(isErrorCode(code) ? code : 'internal', error.message, details, { cause: error });
}

/** What happened to an engine that ended on its own, for the person whose job it took along. */
export function crashError(exit: EngineExit): TunerError {
  const how = exit.signal === null ? `with exit code ${exit.code ?? 'unknown'}` : `by signal ${exit.signal}`;
  const memory = exit.signal === 'SIGKILL' ? ' (the system may have run out of memory)' : '';
  const tail = exit.lastOutput.slice(-quotedLines).join('\n');
  const quote = tail === '' ? '' : ` Its last output: ${tail}`;
  return new TunerError('engineCrashed', `The engine was ended ${how}${memory}.${quote}`, {
    wayOut: finishedLayersAreKept,
  });
}

/** A step ran past the deadline it had announced itself. */
export function stepTimedOutError(label: string, seconds: number): TunerError {
  return new TunerError('engineTimedOut', `The engine was ended: "${label}" took longer than ${seconds} s.`, {
    wayOut: finishedLayersAreKept,
  });
}

/** Nothing was heard from the engine although it had work and no step was running. */
export function silentError(seconds: number): TunerError {
  return new TunerError('engineTimedOut', `The engine was ended: it was silent for ${seconds} s.`, {
    wayOut: finishedLayersAreKept,
  });
}

/** A cancelled job went on past the end of its step. */
export function cancelIgnoredError(): TunerError {
  return new TunerError('engineTimedOut', 'The engine was ended: it did not stop after a job was cancelled.', {
    wayOut: finishedLayersAreKept,
  });
}

/** Whether a request failed because the channel to the engine is gone. */
export function isBrokenChannel(error: unknown): boolean {
  const codes: readonly number[] = [ErrorCodes.MessageWriteError, ErrorCodes.PendingResponseRejected];
  return error instanceof ResponseError && codes.includes(error.code);
}

/** A job that did nothing wrong but ran in an engine that had to be ended. */
export function endedWithAnotherJobError(): TunerError {
  return new TunerError('engineCrashed', 'The engine was ended because another job did not respond.', {
    wayOut: finishedLayersAreKept,
  });
}

/** The engine was stopped on purpose: a restart, changed settings, or the window closing. */
export function stoppedError(): TunerError {
  return new TunerError('engineCrashed', 'The engine was stopped on request.', { wayOut: finishedLayersAreKept });
}
