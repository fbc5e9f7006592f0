/** How the experts of a block are run. */
export type ExpertForm =
  /** One `If` per expert, which reads only the weights that are used: for processors. */
  | 'conditional'
  /** Tokens sorted by expert and one dense product per expert, no control flow: for every GPU and family. */
  | 'sorted'
  /** The fused operator `com.microsoft.MoE`, for many small networks it computes exactly; the others are sorted. */
  | 'fused';

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
}

export const cpuTarget: GraphTarget = {
  experts: 'conditional',
  products: 'plain',
  precision: 'float32',
  splitOutputs: Infinity,
  gramSquares: false,
  quantizedProducts: 'operator',
};
