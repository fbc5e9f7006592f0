import type { Checkpoint, TensorEntry } from '../checkpoint/types';
import { TunerError } from '../protocol/errors';

/** Where an entry of a specification lies: the stored tensor, and the byte of it that the entry begins at. */
export interface TensorPlace {
  readonly tensor: TensorEntry;
  readonly start: number;
}

/** Finds the stored tensor that a byte range belongs to. Specifications cut tensors into ranges with names of their own. */
export class TensorLocator {
  private readonly byFile = new Map<string, TensorEntry[]>();

  constructor({ tensors }: Checkpoint) {
    for (const tensor of tensors.values()) {
      const known = this.byFile.get(tensor.file) ?? [];
      known.push(tensor);
      this.byFile.set(tensor.file, known);
    }
    for (const list of this.byFile.values()) {
      list.sort((left, right) => left.byteOffset - right.byteOffset || left.byteLength - right.byteLength);
    }
  }

  /** @throws TunerError `internal` when the range is no part of one tensor of the checkpoint */
  place(entry: TensorEntry): TensorPlace {
    const found = this.find(entry);
    if (found === undefined) {
      throw new TunerError('internal', 'A weight lies outside the checkpoint whose tensor it should be.', {
        file: entry.file,
        place: entry.name,
      });
    }
    return found;
  }

  private find({ file, byteOffset, byteLength }: TensorEntry): TensorPlace | undefined {
    const list = this.byFile.get(file) ?? [];
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (list[middle]!.byteOffset <= byteOffset) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    const tensor = list[low - 1];
    return tensor !== undefined && byteOffset + byteLength <= tensor.byteOffset + tensor.byteLength
      ? { tensor, start: byteOffset - tensor.byteOffset }
      : undefined;
  }
}
