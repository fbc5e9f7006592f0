import { ErrorCodes, ResponseError } from 'vscode-jsonrpc/node';
import { errorCodes, toTunerError, TunerError, type ErrorCode } from '../../engine/protocol/errors';
import { errorDataSchema } from '../../engine/protocol/messages';
import { localize } from '../common/localize';
import type { EngineExit } from './engineProcess';

function finishedLayersAreKept(): string {
  return localize('Finished layers are kept: run the command again to continue from there.');
}

/** How many lines of the engine's last output an error message quotes. */
const quotedLines = 4;

/** A line that names what went wrong; stack traces and the version of Node follow it. */
const namesProblem =
  /\b(error|exception|fatal|terminate called|assertion|abort(ed)?|out of memory|segmentation fault)\b/i;

/** The lines from the last one on that names a problem; without one, the last lines. */
function problemLines(output: readonly string[]): readonly string[] {
  const at = output.findLastIndex((line) => namesProblem.test(line) && !/^\s+at /.test(line));
  return at === -1 ? output.slice(-quotedLines) : output.slice(at, at + quotedLines);
}

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
  const { code, signal } = exit;
  const ended =
    signal === null
      ? localize('The engine was ended with exit code {code}.', { code: code ?? '?' })
      : signal === 'SIGKILL'
        ? localize('The engine was ended by signal {signal} (the system may have run out of memory).', { signal })
        : localize('The engine was ended by signal {signal}.', { signal });
  const tail = problemLines(exit.lastOutput).join('\n');
  const message = tail === '' ? ended : localize('{ended} Its last output: {tail}', { ended, tail });
  return new TunerError('engineCrashed', message, {
    wayOut: finishedLayersAreKept(),
  });
}

/** A step ran past the deadline it had announced itself. */
export function stepTimedOutError(label: string, seconds: number): TunerError {
  const message = localize('The engine was ended: "{label}" took longer than {seconds} s.', { label, seconds });
  return new TunerError('engineTimedOut', message, {
    wayOut: finishedLayersAreKept(),
  });
}

/** Nothing was heard from the engine although it had work and no step was running. */
export function silentError(seconds: number): TunerError {
  return new TunerError(
    'engineTimedOut',
    localize('The engine was ended: it was silent for {seconds} s.', { seconds }),
    {
      wayOut: finishedLayersAreKept(),
    },
  );
}

/** A cancelled job went on past the end of its step. */
export function cancelIgnoredError(): TunerError {
  return new TunerError(
    'engineTimedOut',
    localize('The engine was ended: it did not stop after a job was cancelled.'),
    {
      wayOut: finishedLayersAreKept(),
    },
  );
}

/** Whether a request failed because the channel to the engine is gone. */
export function isBrokenChannel(error: unknown): boolean {
  const codes: readonly number[] = [ErrorCodes.MessageWriteError, ErrorCodes.PendingResponseRejected];
  return error instanceof ResponseError && codes.includes(error.code);
}

/** A job that did nothing wrong but ran in an engine that had to be ended. */
export function endedWithAnotherJobError(): TunerError {
  return new TunerError('engineCrashed', localize('The engine was ended because another job did not respond.'), {
    wayOut: finishedLayersAreKept(),
  });
}

/** The engine was stopped on purpose: a restart, changed settings, or the window closing. */
export function stoppedError(): TunerError {
  return new TunerError('engineCrashed', localize('The engine was stopped on request.'), {
    wayOut: finishedLayersAreKept(),
  });
}
