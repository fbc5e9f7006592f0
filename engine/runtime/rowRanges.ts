import type { Feeds, HostTensor, Results, WeightTensor } from './session';

/** The rows from `start` to `end` of every input in `batched`; the others as they are. */
export function cutRows(feeds: Feeds, batched: readonly string[], start: number, end: number): Feeds {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, value]): [string, HostTensor | WeightTensor] => {
      if (!batched.includes(name)) {
        return [name, value];
      }
      const size = value.data.length / value.shape[0]!;
      const shape = [end - start, ...value.shape.slice(1)];
      return [name, { ...value, data: value.data.subarray(start * size, end * size), shape } as HostTensor];
    }),
  );
}

/** Results of consecutive rows as one; outputs in `summed` are sums over rows and are added. */
export function joinRows(parts: readonly Results[], summed: readonly string[]): Results {
  return Object.fromEntries(
    Object.keys(parts[0]!).map((name): [string, HostTensor] => {
      const pieces = parts.map((part) => part[name]!);
      return [name, summed.includes(name) ? sum(pieces) : concatenate(pieces)];
    }),
  );
}

function concatenate(pieces: readonly HostTensor[]): HostTensor {
  const rows = pieces.reduce((total, { shape }) => total + shape[0]!, 0);
  const shape = [rows, ...pieces[0]!.shape.slice(1)];
  const length = pieces.reduce((total, { data }) => total + data.length, 0);
  if (pieces[0]!.type === 'float32') {
    const data = new Float32Array(length);
    fill(pieces, (piece, at) => data.set(piece.data as Float32Array, at));
    return { type: 'float32', data, shape };
  }
  const data = new BigInt64Array(length);
  fill(pieces, (piece, at) => data.set(piece.data as BigInt64Array, at));
  return { type: 'int64', data, shape };
}

function fill(pieces: readonly HostTensor[], set: (piece: HostTensor, at: number) => void): void {
  let at = 0;
  for (const piece of pieces) {
    set(piece, at);
    at += piece.data.length;
  }
}

function sum(pieces: readonly HostTensor[]): HostTensor {
  const [first, ...others] = pieces as readonly [HostTensor, ...HostTensor[]];
  if (first.type === 'float32') {
    const data = Float32Array.from(first.data, (value, at) =>
      others.reduce((total, piece) => total + Number(piece.data[at]), value),
    );
    return { ...first, data };
  }
  const data = BigInt64Array.from(first.data, (value, at) =>
    others.reduce((total, piece) => total + BigInt(piece.data[at]!), value),
  );
  return { ...first, data };
}
