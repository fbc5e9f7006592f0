import { dtypeBytes, type TensorEntry } from '../../checkpoint/types';

/** A stored matrix as rows of outputs; `transposed` where it is stored with outputs as columns. */
export interface StackedMatrix {
  readonly entry: TensorEntry;
  readonly rows: number;
  readonly columns: number;
  readonly transposed: boolean;
  /** Bits that each U8 element gets when the rows are packed, low bits first; absent: elements stay as they are. */
  readonly packedBits?: number | undefined;
}

/** Where consecutive rows of a new tensor come from; elements keep their dtype. */
export type StackPart =
  /** All rows in order. */
  | { readonly kind: 'rows'; readonly matrix: StackedMatrix }
  /** Rows of the first and second half by turns. */
  | { readonly kind: 'halves'; readonly matrix: StackedMatrix }
  /** Rows of two matrices by turns. */
  | { readonly kind: 'alternate'; readonly first: StackedMatrix; readonly second: StackedMatrix };

/** A tensor that an export writes from parts of stored ones. */
export interface StackedTensor {
  /** Its place in the graph: a byte range of a file that does not exist; the export replaces it by the one it writes. */
  readonly entry: TensorEntry;
  readonly parts: readonly StackPart[];
}

/** Folder name that no checkpoint file is in; entries of stacked tensors name files below it. */
const madeFolder = '/moe-tuner:stacked/';

/** Tensors that a graph needs and no file has. Graphs refer to their entries like to stored tensors. */
export class StackedTensors {
  private readonly byName = new Map<string, StackedTensor>();

  get all(): readonly StackedTensor[] {
    return [...this.byName.values()];
  }

  /**
   * The tensor of this name, made of these parts; asking again gives the same one.
   * @param shape of the whole; its bytes are those of all parts together
   */
  add(name: string, parts: readonly StackPart[], shape: readonly number[]): TensorEntry {
    const first = parts[0]!;
    const { dtype } = (first.kind === 'alternate' ? first.first : first.matrix).entry;
    const byteLength = shape.reduce((product, size) => product * size, dtypeBytes[dtype]);
    const entry = { name, dtype, shape, file: madeFolder + name, byteOffset: 0, byteLength };
    const stacked = this.byName.get(name) ?? { entry, parts };
    this.byName.set(name, stacked);
    return stacked.entry;
  }
}
