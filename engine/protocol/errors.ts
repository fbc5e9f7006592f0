/** What a failure means to the person or script that asked: decides the exit code of the command line. */
export type ErrorKind = 'input' | 'failed' | 'cancelled';

/** Every failure the product reports, with the kind that decides its exit code. Add a code here, use it through {@link TunerError}. */
export const errorCodes = {
  usage: 'input',
  fileNotFound: 'input',
  notACheckpoint: 'input',
  malformedConfig: 'input',
  malformedSafetensors: 'input',
  malformedIndex: 'input',
  missingShard: 'input',
  pathEscapesFolder: 'input',
  missingTensor: 'input',
  contradictoryConfig: 'input',
  notMixtureOfExperts: 'input',
  unknownFamily: 'input',
  unsupportedFeature: 'input',
  unsupportedDtype: 'input',
  nonFiniteWeights: 'input',
  missingTokenizer: 'input',
  malformedTokenizer: 'input',
  malformedText: 'input',
  malformedPlan: 'input',
  planForAnotherCheckpoint: 'input',
  infeasibleBudget: 'input',
  malformedTensorInput: 'input',
  malformedStatistics: 'input',
  statisticsForAnotherCheckpoint: 'input',
  providerUnavailable: 'input',
  outputExists: 'input',
  writeFailed: 'failed',
  runtimeFailed: 'failed',
  outOfMemory: 'failed',
  deviceFailed: 'failed',
  engineCrashed: 'failed',
  engineTimedOut: 'failed',
  protocolMismatch: 'failed',
  malformedMessage: 'failed',
  internal: 'failed',
  cancelled: 'cancelled',
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorCodes;

/** The parts of a failure that a person needs: which file, where in it, and the way out. */
export interface ErrorDetails {
  /** Absolute path of the file at fault. */
  readonly file?: string | undefined;
  /** Place inside the file: a key, a tensor name, a byte range, a line. */
  readonly place?: string | undefined;
  /** What the person can do about it, as a whole sentence. */
  readonly wayOut?: string | undefined;
  /** A mechanical repair of a config key (dotted path), offered as a quick fix in the editor. */
  readonly fix?: { readonly key: string; readonly value: number } | undefined;
}

/** The one error class of the product: a code, a sentence for a person, and where to look. */
export class TunerError extends Error {
  override readonly name = 'TunerError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  get kind(): ErrorKind {
    return errorCodes[this.code];
  }

  /** One text with file, place and way out, as the command line and notifications print it. */
  describe(): string {
    const { file, place, wayOut } = this.details;
    const where = [file, place].filter((part) => part !== undefined && part !== '').join(': ');
    return [where === '' ? this.message : `${where}: ${this.message}`, wayOut].filter(Boolean).join(' ');
  }

  static is(error: unknown, code?: ErrorCode): error is TunerError {
    return error instanceof TunerError && (code === undefined || error.code === code);
  }
}

/** The error a cancelled job ends with. */
export function cancelledError(): TunerError {
  return new TunerError('cancelled', 'Cancelled.');
}

/** Any thrown value as a {@link TunerError}; unknown ones become `internal` and keep their cause. */
export function toTunerError(error: unknown): TunerError {
  if (error instanceof TunerError) {
    return error;
  }
  const message = error instanceof Error ? error.message : String(error);
  return new TunerError('internal', message, {}, { cause: error });
}
