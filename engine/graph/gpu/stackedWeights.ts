import type { TensorEntry } from '../../checkpoint/types';
import type { GraphBuilder, Value } from '../graphBuilder';

/**
 * Matrices of one shape as one tensor `[count, rows, columns]` in the precision of `graph`. Neighbours in the file need no
 * copy; others are joined on the device while the graph runs, in their stored dtype, and converted at once.
 */
export function stackedWeights(graph: GraphBuilder, entries: readonly TensorEntry[]): Value {
  const [rows, columns] = entries[0]!.shape as [number, number];
  const joined = joinNeighbours(entries);
  if (joined !== undefined) {
    return graph.weight(joined, [entries.length, rows, columns]);
  }
  const stored = graph.node(
    'Concat',
    entries.map((entry) => graph.stored(entry)),
    { axis: 0 },
  );
  const shaped = graph.node('Reshape', [stored, graph.integers([entries.length, rows, columns])]);
  return graph.ofDtype(shaped, entries[0]!.dtype);
}

/** One entry that covers all, where they follow each other in a file. */
function joinNeighbours(entries: readonly TensorEntry[]): TensorEntry | undefined {
  const first = entries[0]!;
  const follow = entries.every(
    ({ file, byteOffset }, at) => file === first.file && byteOffset === first.byteOffset + at * first.byteLength,
  );
  return follow ? { ...first, byteLength: entries.length * first.byteLength } : undefined;
}
