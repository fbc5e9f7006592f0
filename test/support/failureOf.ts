import { TunerError } from '../../engine/protocol/errors';

/** The error that work ends with; anything but a {@link TunerError} fails the test as it is. */
export async function failureOf(work: Promise<unknown>, name = 'The work'): Promise<TunerError> {
  const error: unknown = await work.then(
    () => new Error(`${name} was accepted.`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof TunerError)) {
    throw error;
  }
  return error;
}
