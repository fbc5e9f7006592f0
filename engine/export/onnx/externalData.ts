import type { GraphProto } from 'onnx-buf';
import type { TensorEntry } from '../../checkpoint/types';
import type { StackedTensor } from '../../graph/export/stackedTensors';
import { TunerError } from '../../protocol/errors';
import { storedPiece, type TensorPiece } from '../../transform/tensorRewrite';
import { stackedByteLength, stackedBytes } from './stackedBytes';

/** Name of the file beside `model.onnx` that holds the weights. */
export const dataFileName = 'model.onnx.data';

/** Large tensors begin at multiples of a memory page, so that they can be mapped; small ones are packed more tightly. */
const pageBytes = 4096;
const smallAlignment = 64;
const smallBytes = 64 * 1024;

/** The data file of an export, from its first byte to its last. */
export interface DataLayout {
  readonly pieces: readonly TensorPiece[];
  readonly bytes: number;
  readonly stacked: StackedPlaces;
}

/** Offsets of stacked tensors in a data file, by the location that graphs write for them. */
export type StackedPlaces = ReadonlyMap<string, number>;

interface Source {
  readonly name: string;
  readonly pieces: readonly TensorPiece[];
  readonly stacked: boolean;
}

/** What an external initializer of a graph refers to, by its location and offset there. */
export class DataSources {
  private readonly ranges = new Map<string, TensorEntry>();
  private readonly stacks = new Map<string, StackedTensor>();

  /**
   * @param specification any object that holds the stored tensors the graph refers to
   * @param stacked tensors that no file has
   */
  constructor(specification: unknown, stacked: readonly StackedTensor[]) {
    this.collect(specification);
    for (const stack of stacked) {
      this.stacks.set(locationOf(stack.entry.file), stack);
    }
  }

  /** @throws TunerError `internal` for an initializer that the specification does not have */
  find(location: string, byteOffset: number, byteLength: number): Source {
    const stack = this.stacks.get(location);
    if (stack !== undefined) {
      const pieces = stack.parts.map((part) => ({
        kind: 'computed' as const,
        byteLength: stackedByteLength(part),
        produce: async function* () {
          yield await stackedBytes(part);
        },
      }));
      return { name: stack.entry.name, pieces, stacked: true };
    }
    const entry = this.ranges.get(`${location}:${byteOffset}`);
    if (entry === undefined) {
      throw new TunerError('internal', `A graph refers to bytes of ${location} that the model does not have.`);
    }
    return { name: entry.name, pieces: [storedPiece(entry, 0, byteLength)], stacked: false };
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
export function locationOf(file: string): string {
  return file.replace(/^([A-Za-z]:)?[\\/]+/, '').replaceAll('\\', '/');
}

/**
 * Gives every external initializer of a graph a place in one data file beside the model. Tensors that several initializers share
 * (tied embeddings) are written once.
 * @returns the file, and for every such initializer the name of its tensor in the checkpoint
 */
export function layOutData(
  graph: GraphProto,
  sources: DataSources,
): { readonly data: DataLayout; readonly names: ReadonlyMap<string, string> } {
  const offsets = new Map<string, number>();
  const stacked = new Map<string, number>();
  const names = new Map<string, string>();
  const pieces: TensorPiece[] = [];
  let end = 0;
  for (const tensor of graph.initializer) {
    const external = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
    const [location, from, length] = ['location', 'offset', 'length'].map((key) => external.get(key));
    if (location === undefined) {
      continue;
    }
    const byteLength = Number(length);
    const source = sources.find(location, Number(from), byteLength);
    const key = `${location}:${from}:${length}`;
    let offset = offsets.get(key);
    if (offset === undefined) {
      const step = byteLength < smallBytes ? smallAlignment : pageBytes;
      offset = Math.ceil(end / step) * step;
      pieces.push(...padding(offset - end), ...source.pieces);
      offsets.set(key, offset);
      if (source.stacked) {
        stacked.set(location, offset);
      }
      end = offset + byteLength;
    }
    const place = { location: dataFileName, offset: String(offset), length: String(byteLength) };
    for (const entry of tensor.externalData) {
      entry.value = place[entry.key as keyof typeof place];
    }
    names.set(tensor.name, source.name);
  }
  return { data: { pieces, bytes: end, stacked }, names };
}

function padding(byteLength: number): TensorPiece[] {
  const zeros = new Uint8Array(byteLength);
  return byteLength === 0 ? [] : [{ kind: 'computed', byteLength, produce: () => once(zeros) }];
}

// eslint-disable-next-line @typescript-eslint/require-await -- an async iterable of what is there already
async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
