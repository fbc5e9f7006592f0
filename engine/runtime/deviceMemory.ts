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
  /** Most rows of one run. */
  readonly mostRows: number;
}

/**
 * Plans a graph with the experts of `block` for `runtime.deviceMemoryBytes`. Without a limit everything is tried whole: a device that
 * runs out of memory is then noticed while it runs.
 */
export function memoryPlan(block: MoeBlockSpec | undefined, { deviceMemoryBytes }: RuntimeOptions): MemoryPlan {
  if (block === undefined || deviceMemoryBytes === undefined) {
    return { groupSize: undefined, mostRows: Infinity };
  }
  const { experts, activeExperts, hiddenSize, intermediateSize } = block;
  const bytes = specTensors(experts).reduce((sum, { byteLength }) => sum + byteLength, 0);
  const most = weightShare * deviceMemoryBytes;
  const atOnce = Math.max(1, Math.floor((experts.length * most) / bytes));
  const weights = Math.min(bytes, most);
  // Inputs, their parts for exact products, gate, up and their product, and outputs, of every active expert.
  const rowBytes = valueBytes * activeExperts * (5 * hiddenSize + 5 * intermediateSize);
  const mostRows = Math.max(1, Math.floor((deviceMemoryBytes - weights) / rowBytes));
  return { groupSize: atOnce < experts.length ? atOnce : undefined, mostRows };
}
