/** A file of an artefact whose content was generated. */
export interface TextFile {
  /** Path below the artefact's folder, with slashes. */
  readonly name: string;
  readonly text: string;
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

export type ArtefactFile = TextFile | CopiedFile;

/** Bytes that a file will have on disk. */
export function predictedBytes(file: ArtefactFile): number {
  return 'text' in file ? Buffer.byteLength(file.text, 'utf8') : file.bytes;
}
