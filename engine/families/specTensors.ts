import type { TensorEntry } from '../checkpoint/types';

/** Every stored tensor that a specification refers to, each once, in the order of the specification. */
export function specTensors(specification: unknown): TensorEntry[] {
  const found = new Map<string, TensorEntry>();
  collect(specification, found);
  return [...found.values()];
}

function collect(value: unknown, found: Map<string, TensorEntry>): void {
  if (typeof value !== 'object' || value === null) {
    return;
  }
  if (isEntry(value)) {
    found.set(value.name, value);
    return;
  }
  for (const child of Object.values(value)) {
    collect(child, found);
  }
}

function isEntry(value: object): value is TensorEntry {
  return 'byteOffset' in value && 'byteLength' in value && 'dtype' in value;
}
