import { cpuTarget, type GraphTarget } from '../graph/graphTarget';
import type { RuntimeOptions } from './session';

/** Graphs for devices of unknown abilities: float32 as the provider computes it, few outputs of one operator. */
const anyDevice: GraphTarget = {
  experts: 'sorted',
  products: 'plain',
  precision: 'float32',
  splitOutputs: 8,
  gramSquares: false,
};

/**
 * What graphs are built for. CUDA's float32 products round their factors to TF32, so they are split; in half precision the
 * fused operator is the fastest form of many small experts.
 */
export function graphTarget({ provider, precision = 'float32', fusedExperts = false }: RuntimeOptions): GraphTarget {
  switch (provider) {
    case 'cpu':
      return cpuTarget;
    case 'cuda':
      return {
        experts: precision === 'float16' && fusedExperts ? 'fused' : 'sorted',
        products: 'split',
        precision,
        splitOutputs: Infinity,
        gramSquares: true,
      };
    default:
      return { ...anyDevice, precision };
  }
}

/** The part of a cache key that says how numbers were computed. */
export function runtimeKey({ provider, precision = 'float32' }: RuntimeOptions): string {
  return provider === 'cpu' || precision === 'float32' ? provider : `${provider} ${precision}`;
}

/** Where the work was really done, for results and people. */
export function ranOn(runtime: RuntimeOptions): string {
  const key = runtimeKey(runtime);
  return runtime.journal?.usedProcessor === true ? `${key}, in part cpu` : key;
}
