import type { Dtype, TensorEntry } from '../checkpoint/types';
import type { RoundedParts } from './rounding/roundedParts';

/** Consecutive bytes of a written tensor, whether they exist already or are computed when their turn comes. */
export type TensorPiece = StoredPiece | ComputedPiece | RoundedPiece;

/** Bytes that lie in a file: of the checkpoint, or of a plan's scratch weights. */
export interface StoredPiece {
  readonly kind: 'stored';
  readonly file: string;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Bytes that are computed; asking again gives the same ones. */
export interface ComputedPiece {
  readonly kind: 'computed';
  readonly byteLength: number;
  produce(): AsyncIterable<Uint8Array>;
}

/** One form of a weight that is rounded while it is written. Several pieces of one file may be forms of the same weight. */
export interface RoundedPiece {
  readonly kind: 'rounded';
  readonly byteLength: number;
  readonly parts: RoundedParts;
  /** Which of the forms. */
  readonly form: number;
}

/** One tensor as it will be written. */
export interface RewrittenTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The tensor whose place it takes: it stays in the file of that one. */
  readonly original: TensorEntry;
  readonly pieces: readonly TensorPiece[];
}

/** Bytes that replace a part of an original tensor. */
export interface Replacement {
  /** Position of the first byte, relative to the start of the tensor. */
  readonly start: number;
  readonly piece: TensorPiece;
}

export function byteLengthOf(pieces: readonly TensorPiece[]): number {
  return pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** A range of an original tensor with its replaced parts; replacements lie wholly inside the range or outside it. */
export function composeRange(
  entry: TensorEntry,
  range: { readonly start: number; readonly length: number },
  replacements: readonly Replacement[],
): TensorPiece[] {
  const end = range.start + range.length;
  const inside = replacements
    .filter(({ start }) => start >= range.start && start < end)
    .sort((left, right) => left.start - right.start);
  const pieces: TensorPiece[] = [];
  let position = range.start;
  const stored = (until: number) => {
    if (until > position) {
      pieces.push(storedPiece(entry, position, until - position));
    }
  };
  for (const { start, piece } of inside) {
    stored(start);
    pieces.push(piece);
    position = start + piece.byteLength;
  }
  stored(end);
  return pieces;
}

/** A rounded weight as pieces, one per form in order. */
export function roundedPieces(parts: RoundedParts): RoundedPiece[] {
  return parts.byteLengths.map((byteLength, form) => ({ kind: 'rounded', byteLength, parts, form }));
}

/** A part of a stored tensor, or all of it. */
export function storedPiece(entry: TensorEntry, start = 0, length = entry.byteLength): StoredPiece {
  return { kind: 'stored', file: entry.file, byteOffset: entry.byteOffset + start, byteLength: length };
}

/** Whether a written tensor is the original one, name and bytes. */
export function isUntouched({ name, shape, original, pieces }: RewrittenTensor): boolean {
  const [only] = pieces;
  return (
    name === original.name &&
    shape.length === original.shape.length &&
    shape.every((size, axis) => size === original.shape[axis]) &&
    (pieces.length === 0 ||
      (pieces.length === 1 &&
        only!.kind === 'stored' &&
        only!.file === original.file &&
        only!.byteOffset === original.byteOffset &&
        only!.byteLength === original.byteLength))
  );
}
