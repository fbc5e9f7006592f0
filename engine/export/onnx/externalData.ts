import type { GraphProto, TensorProto } from 'onnx-buf';
import type { TensorEntry } from '../../checkpoint/types';
import { TunerError } from '../../protocol/errors';
import type { StackedTensor, StackPart } from '../../graph/export/stackedTensors';

/** Name of the file beside `model.onnx` that holds the weights. */
export const dataFileName = 'model.onnx.data';

/** Tensors begin at multiples of this, so that they can be mapped into memory. */
const alignment = 4096;
/** Smaller tensors are packed more tightly. */
const smallAlignment = 64;
const smallBytes = 64 * 1024;

/** One tensor of the data file: where its bytes come from and where they go. */
export interface DataPiece {
  readonly offset: number;
  readonly byteLength: number;
  readonly source:
    | { readonly kind: 'range'; readonly file: string; readonly byteOffset: number; readonly name: string }
    | { readonly kind: 'stack'; readonly parts: readonly StackPart[]; readonly name: string };
}

export interface DataLayout {
  readonly pieces: readonly DataPiece[];
  readonly bytes: number;
}

/** What an external initializer of a graph refers to, by its location and offset there. */
export class DataSources {
  private readonly ranges = new Map<string, { readonly file: string; readonly name: string }>();
  private readonly stacks = new Map<string, StackedTensor>();

  /** @param specification any object that holds the stored tensors the graph refers to */
  constructor(specification: unknown, stacked: readonly StackedTensor[]) {
    this.collect(specification);
    for (const stack of stacked) {
      this.stacks.set(locationOf(stack.entry.file), stack);
    }
  }

  /** @throws TunerError `internal` for an initializer that the specification does not have */
  find(location: string, byteOffset: number, byteLength: number): Omit<DataPiece, 'offset'> & { readonly key: string } {
    const stack = this.stacks.get(location);
    if (stack !== undefined) {
      const { name } = stack.entry;
      return { key: location, byteLength, source: { kind: 'stack', parts: stack.parts, name } };
    }
    const range = this.ranges.get(`${location}:${byteOffset}`);
    if (range === undefined) {
      throw new TunerError('internal', `A graph refers to bytes of ${location} that the model does not have.`);
    }
    return {
      key: `${location}:${byteOffset}:${byteLength}`,
      byteLength,
      source: { kind: 'range', byteOffset, ...range },
    };
  }

  private collect(value: unknown): void {
    if (typeof value !== 'object' || value === null) {
      return;
    }
    if (isEntry(value)) {
      this.ranges.set(`${locationOf(value.file)}:${value.byteOffset}`, value);
      return;
    }
    for (const child of Object.values(value)) {
      this.collect(child);
    }
  }
}

function isEntry(value: object): value is TensorEntry {
  return 'byteOffset' in value && 'byteLength' in value && 'dtype' in value && 'file' in value;
}

/** The location that graphs write for a file: relative to the root of its file system. */
function locationOf(file: string): string {
  return file.replace(/^([A-Za-z]:)?[\\/]+/, '').replaceAll('\\', '/');
}

/**
 * Gives every external initializer of a graph a place in one data file beside the model, and names it after its tensor. Tensors that
 * several initializers share (tied embeddings) are written once.
 */
export function layOutData(graph: GraphProto, sources: DataSources): DataLayout {
  const pieces = new Map<string, DataPiece>();
  let end = 0;
  for (const tensor of graph.initializer) {
    const external = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
    const location = external.get('location');
    if (location === undefined) {
      continue;
    }
    const found = sources.find(location, Number(external.get('offset')), Number(external.get('length')));
    let piece = pieces.get(found.key);
    if (piece === undefined) {
      const step = found.byteLength < smallBytes ? smallAlignment : alignment;
      const offset = Math.ceil(end / step) * step;
      piece = { offset, byteLength: found.byteLength, source: found.source };
      pieces.set(found.key, piece);
      end = offset + found.byteLength;
    }
    place(tensor, piece);
  }
  return { pieces: [...pieces.values()], bytes: end };
}

function place(tensor: TensorProto, piece: DataPiece): void {
  const values = { location: dataFileName, offset: String(piece.offset), length: String(piece.byteLength) };
  for (const entry of tensor.externalData) {
    entry.value = values[entry.key as keyof typeof values];
  }
  tensor.docString = piece.source.name;
}
