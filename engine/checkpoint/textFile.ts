import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { TunerError, type ErrorCode } from '../protocol/errors';

/** Largest text file that is read whole: an index or tokenizer of the biggest published models is far below it. */
const maximumTextBytes = 512 * 2 ** 20;

/**
 * Open flags that never wait: opening a named pipe for reading would otherwise block until somebody writes to it.
 * Windows lacks the flag, despite its type.
 */
export const nonBlockingRead = constants.O_RDONLY | ((constants.O_NONBLOCK as number | undefined) ?? 0);

/** The system's error code of a failed file operation, for example `ENOENT`. */
export function systemErrorCode(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** A failed open, stat or read as a sentence for a person: `fileNotFound`, naming the file. */
export function fileAccessError(error: unknown, file: string): TunerError {
  if (error instanceof TunerError) {
    return error;
  }
  const code = systemErrorCode(error);
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'There is no such file.',
    ENOTDIR: 'There is no such file: a part of the path is not a folder.',
    EACCES: 'The file may not be read by this user.',
    EPERM: 'The file may not be read by this user.',
    EISDIR: 'This is a folder, not a file.',
    ELOOP: 'The symbolic link leads back to itself.',
    ENAMETOOLONG: 'The path is too long.',
  };
  const reason = reasons[code ?? ''] ?? `The file cannot be read (${error instanceof Error ? error.message : code}).`;
  return new TunerError(
    'fileNotFound',
    reason,
    { file, wayOut: 'Check the path and its permissions.' },
    { cause: error },
  );
}

/**
 * Reads a UTF-8 file whole, without its byte order mark.
 * @param code the error for content that is not text: too large, not a regular file, not UTF-8
 * @throws TunerError `fileNotFound` or `code`, naming the file
 */
export async function readTextFile(file: string, code: ErrorCode): Promise<string> {
  try {
    const handle = await open(file, nonBlockingRead);
    try {
      const stats = await handle.stat();
      if (stats.isDirectory()) {
        throw new TunerError('fileNotFound', 'This is a folder, not a file.', { file });
      }
      if (!stats.isFile()) {
        throw new TunerError(code, 'This is not a regular file.', { file });
      }
      if (stats.size > maximumTextBytes) {
        throw new TunerError(code, `The file is too large for what it should hold (${stats.size} bytes).`, { file });
      }
      const bytes = await handle.readFile();
      return decodeUtf8(bytes, file, code);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileAccessError(error, file);
  }
}

/** Strict UTF-8 to text. @throws TunerError `code` naming the file */
export function decodeUtf8(bytes: Uint8Array, file: string, code: ErrorCode, place?: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TunerError(code, 'The text is not valid UTF-8.', { file, place }, { cause });
  }
}
