import { specTensors } from '../families/specTensors';
import type { MoeBlockSpec } from '../families/specification';
import type { RuntimeOptions } from './session';

/** Share of the memory limit that weights may take; the rest is for what is computed with them. */
const weightShare = 0.5;

/** Bytes of one value of what is computed: float32, whatever the experts are. */
const valueBytes = 4;

/** How a graph is run within the memory that a device may use. */
export interface MemoryPlan {
  /** Experts that run at once; undefined: all. */
  readonly groupSize: number | undefined;
  /** Most tokens of one run. */
  readonly mostTokens: number;
}

/**
 * Plans a graph with the experts of `block` for `runtime.deviceMemoryBytes`, and for what the journal knows from layers before. Without
 * either everything is tried whole: a device that runs out of memory is then noticed while it runs.
 */
export function memoryPlan(
  block: MoeBlockSpec | undefined,
  { deviceMemoryBytes = Infinity, journal }: RuntimeOptions,
): MemoryPlan {
  if (block === undefined) {
    return { groupSize: undefined, mostTokens: Infinity };
  }
  const { experts, activeExperts, hiddenSize, intermediateSize } = block;
  const bytes = expertBytes(block);
  const most = Math.min(weightShare * deviceMemoryBytes, journal?.expertBytes ?? Infinity);
  const atOnce = Math.max(1, Math.floor((experts.length * most) / bytes));
  // Inputs, their parts for exact products, gate, up and their product, and outputs, of every active expert.
  const tokenBytes = valueBytes * activeExperts * (5 * hiddenSize + 5 * intermediateSize);
  const mostTokens = Math.max(1, Math.floor((deviceMemoryBytes - Math.min(bytes, most)) / tokenBytes));
  return { groupSize: atOnce < experts.length ? atOnce : undefined, mostTokens };
}

/** Stored bytes of all experts of a block. */
export function expertBytes({ experts }: MoeBlockSpec): number {
  return specTensors(experts).reduce((sum, { byteLength }) => sum + byteLength, 0);
}
