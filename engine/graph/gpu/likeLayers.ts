import type { TensorEntry } from '../../checkpoint/types';

/** What a specification is but for the places of its tensors, and these. */
interface Form {
  readonly text: string;
  readonly tensors: readonly TensorEntry[];
}

/** A graph, and which tensors of its specification it takes in which shape, in the order of its inputs. */
interface KnownGraph {
  readonly form: string;
  readonly model: Uint8Array;
  readonly taken: readonly { readonly at: number; readonly shape: readonly number[] }[];
}

/**
 * Graphs whose weights are fed, built once for all layers that differ in nothing but where their tensors lie. Building one takes more
 * time than everything else that is left to the processor for such a layer.
 */
export class LikeLayers {
  private known: KnownGraph | undefined;

  /**
   * @param specification everything that decides what `build` gives; tensors in it are only fed
   * @param fed gets the tensors that the graph takes, in the order of its inputs
   * @param build the same function, for the same target, in every call
   */
  graph(specification: unknown, fed: TensorEntry[], build: (fed: TensorEntry[]) => Uint8Array): Uint8Array {
    const { text, tensors } = formOf(specification);
    if (this.known?.form === text) {
      fed.push(...this.known.taken.map(({ at, shape }) => ({ ...tensors[at]!, shape })));
      return this.known.model;
    }
    const model = build(fed);
    const taken = fed.map((entry) => ({ at: tensors.findIndex((each) => samePlace(each, entry)), shape: entry.shape }));
    // A graph that takes a range of its own making is not shared.
    this.known = taken.every(({ at }) => at >= 0) ? { form: text, model, taken } : undefined;
    return model;
  }
}

/** Tensors are numbered by their first occurrence, so that those used twice stay known as such. */
function formOf(specification: unknown): Form {
  const numbers = new Map<string, number>();
  const tensors: TensorEntry[] = [];
  const text = JSON.stringify(specification, (_, value: unknown) => {
    if (typeof value === 'number' && !Number.isFinite(value)) {
      return String(value);
    }
    if (typeof value !== 'object' || value === null || !isEntry(value)) {
      return value;
    }
    const { dtype, shape, file, byteOffset, byteLength } = value;
    const place = `${byteOffset} ${byteLength} ${file}`;
    const number = numbers.get(place) ?? numbers.size;
    if (number === numbers.size) {
      numbers.set(place, number);
      tensors.push(value);
    }
    return [number, dtype, byteLength, ...shape];
  });
  return { text, tensors };
}

function samePlace(one: TensorEntry, other: TensorEntry): boolean {
  return one.file === other.file && one.byteOffset === other.byteOffset && one.byteLength === other.byteLength;
}

function isEntry(value: object): value is TensorEntry {
  return 'byteOffset' in value && 'byteLength' in value && 'dtype' in value;
}
