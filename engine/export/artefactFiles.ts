import type { FileHandle } from 'node:fs/promises';

/** A file of an artefact whose content was generated. */
export interface TextFile {
  /** Path below the artefact's folder, with slashes. */
  readonly name: string;
  readonly text: string;
}

/** A generated file that says something about the others: its length is known before them, its text after them. */
export interface ClosingFile {
  readonly name: string;
  readonly bytes: number;
  /** @param folder where all other files lie */
  closing(folder: string): Promise<string>;
}

/** A file of an artefact that is the same as one that exists. */
export interface CopiedFile {
  readonly name: string;
  /** Absolute path with symbolic links resolved. */
  readonly source: string;
  readonly bytes: number;
  /** Weights, which nobody edits in place, may share their bytes with the source; settings get their own. */
  readonly shares: boolean;
}

/** A file too large for memory, which is put together while it is written. */
export interface StreamedFile {
  readonly name: string;
  readonly bytes: number;
  /**
   * Fills the empty file; flushing and closing are the caller's.
   * @param written is told how many bytes are done; it may throw to end it
   */
  stream(handle: FileHandle, written: (bytes: number) => void): Promise<void>;
}

export type ArtefactFile = TextFile | CopiedFile | StreamedFile | ClosingFile;

/** Bytes that a file will have on disk. */
export function predictedBytes(file: ArtefactFile): number {
  return 'text' in file ? Buffer.byteLength(file.text, 'utf8') : file.bytes;
}
