import type { TensorEntry } from '../checkpoint/types';

/** How the experts of a block are run. */
export type ExpertForm =
  /** One `If` per expert, which reads only the weights that are used: for processors. */
  | 'conditional'
  /** Tokens sorted by expert and one dense product per expert, no control flow: for every GPU and family. */
  | 'sorted'
  /** The fused operator `com.microsoft.MoE`, for many small networks it computes exactly; the others are sorted. */
  | 'fused'
  /** The experts run elsewhere: the graph ends where they would and gives what they need (`gpu/expertsApart.ts`). */
  | 'chosen'
  /** The experts ran elsewhere: the graph is fed their outputs. */
  | 'given';

/** How float32 products are computed. */
export type ProductForm =
  /** As the provider does it. */
  | 'plain'
  /** As sums of products whose factors have at most 11 significant bits: exact on tensor cores. */
  | 'split';

/** Element type of the products of the experts. Routing, norms and attention are always float32. */
export type ExpertPrecision = 'float32' | 'float16' | 'bfloat16';

/** What a graph is built for. Targets differ in speed and rounding, never in meaning. */
export interface GraphTarget {
  readonly experts: ExpertForm;
  readonly products: ProductForm;
  readonly precision: ExpertPrecision;
  /** Most outputs of one `Split`: WebGPU binds every one as a buffer. */
  readonly splitOutputs: number;
  /** Norms of combined expert outputs through their inner products: where float64 products are available. */
  readonly gramSquares: boolean;
  /** Products with weights of few bits: decoded first, or by the operator `com.microsoft.MatMulNBits`. Absent: decoded. */
  readonly quantizedProducts?: 'decoded' | 'operator';
  /**
   * Present where weights are fed with every run instead of being loaded with the graph, so that graphs of equal layers are equal
   * bytes: while a graph is built, the stored tensors it takes are appended here, in the order of its inputs `weight_0`, `weight_1` …
   */
  readonly fed?: TensorEntry[];
}

export const cpuTarget: GraphTarget = {
  experts: 'conditional',
  products: 'plain',
  precision: 'float32',
  splitOutputs: Infinity,
  gramSquares: false,
  quantizedProducts: 'operator',
};
