/**
 * What one calibration pass knows about a checkpoint, as pruning, merging and other methods read it.
 *
 * Symbols (those of the literature): token t, layer input x_t, router logits z_t, set T_t of the k chosen experts, gate g_{t,e}
 * (what the model multiplies; 0 where e was not chosen), un-gated expert output f_e(x_t), contribution V_{t,e} = g_{t,e} f_e(x_t)
 * to the routed sum, tokens X_e = { t : e in T_t }. In families that put the gate on the input of the expert (Llama-4) the network
 * sees g·x: there V and f are the same thing. E × E matrices are row by row and symmetric: entry (i, j) is at i · experts + j.
 */

/** Sums over tokens for every expert of a layer, `[experts]` each, in float64. */
export interface ExpertSums {
  /** Tokens these sums are over, chosen or not. */
  readonly tokens: number;
  /** |X_e|: how often the expert was chosen. Frequency; divisor of REAP, MAN, MSAN, RAZOR. */
  readonly counts: Float64Array;
  /** Σ g. Gate mass (SEER-MoE). */
  readonly gates: Float64Array;
  /** Σ g². */
  readonly gateSquares: Float64Array;
  /** Σ ‖f‖ over X_e. EAN; divided by counts: MAN. */
  readonly outputNorms: Float64Array;
  /** Σ ‖f‖² over X_e. MSAN when divided by counts; with {@link LayerStatistics.outputSums} the variance of MoNE. */
  readonly outputNormSquares: Float64Array;
  /** Σ ‖V‖ = Σ g ‖f‖. REAP when divided by counts. */
  readonly contributionNorms: Float64Array;
  /** Σ ‖V‖². Diagonal of HOPE. */
  readonly contributionNormSquares: Float64Array;
  /**
   * Σ δ² over X_e (RAZOR): δ is the norm of the change of the routed sum when the expert is removed from this token, the best expert
   * that was not chosen takes its place, and the gates are recomputed by the model's own rule. Nobody takes the place where the
   * router has no further candidate.
   */
  readonly replacementSquares: Float64Array;
  /** Σ δ² over X_e when the expert is removed and nobody takes its place; the gates of the others are recomputed. */
  readonly removalSquares: Float64Array;
  /** Σ ‖V‖ · max(0, 1 - cos(h, h')) over X_e, h and h' the residual stream before and after the block (EASY-EP). */
  readonly shiftedContributionNorms: Float64Array;
  /** Tokens whose largest router logit is this expert's. */
  readonly topCounts: Float64Array;
  /** Σ of that largest logit z (PreMoe's TCESS with k_a = 1; may be negative). */
  readonly topLogits: Float64Array;
  /** Σ of that largest logit above the mean logit of the token: never negative, unlike {@link topLogits}. */
  readonly topMargins: Float64Array;
  /** Σ of the logits of chosen experts over X_e (TCESS with k_a = k), and above the token's mean logit. */
  readonly chosenLogits: Float64Array;
  readonly chosenMargins: Float64Array;
  /** Σ over all tokens of the router's probability, see {@link LayerStatistics.probabilityProducts}. */
  readonly probabilities: Float64Array;
}

/** Names of the vectors of {@link ExpertSums}: files, accumulators and checks iterate over this list. */
export const expertSumNames = [
  'counts',
  'gates',
  'gateSquares',
  'outputNorms',
  'outputNormSquares',
  'contributionNorms',
  'contributionNormSquares',
  'replacementSquares',
  'removalSquares',
  'shiftedContributionNorms',
  'topCounts',
  'topLogits',
  'topMargins',
  'chosenLogits',
  'chosenMargins',
  'probabilities',
] as const satisfies readonly (keyof ExpertSums)[];

/** Sums of one task or domain; the texts of one dataset where lines carry no tag. */
export interface TaggedSums extends ExpertSums {
  readonly tag: string;
}

/**
 * All experts run on the sampled tokens of {@link LayerStatistics.sample}, chosen or not: what clustering and merging methods
 * compare outputs with.
 */
export interface DenseOutputs {
  /** Sampled tokens. */
  readonly tokens: number;
  /** Mean of f_e(x), gate-free, `[experts, hidden]` (HC-SMoE). */
  readonly meanOutputs: Float32Array;
  /** Σ_t f_i · f_j, `[experts, experts]`. */
  readonly gram: Float64Array;
  /**
   * Mean over tokens of cos(f_i, f_j), `[experts, experts]`, 1 on the diagonal (REAM's similarity of outputs; positive gates would
   * not change it).
   */
  readonly cosines: Float64Array;
}

/** Inputs of the block for tokens drawn once for the whole model: the same tokens in every layer, whatever the batches. */
export interface InputSample {
  /** Block inputs x (after the norm), `[tokens, hidden]`. Reconstruction methods (NAEE, MergeMoE, REAM) run blocks on them. */
  readonly inputs: Float32Array;
  readonly tokens: number;
  /** Index into {@link CalibrationStatistics.tags} for every sampled token. */
  readonly tags: Uint16Array;
}

/** What pairs of experts do on the same tokens, `[experts, experts]` each: what methods that judge sets of experts read. */
export interface PairSums {
  /** Tokens that chose both i and j; counts on the diagonal (STUN, HOPE). */
  readonly coactivation: Float64Array;
  /** Σ ‖V_i‖ ‖V_j‖ over tokens that chose both (HOPE). */
  readonly contributionProducts: Float64Array;
  /** Σ_t V_i · V_j (OMP-MoE). A row sums to V_i · Y, Y the routed sum of the layer. */
  readonly contributionGram: Float64Array;
}

/** Names of the matrices of {@link PairSums}. */
export const pairSumNames = [
  'coactivation',
  'contributionProducts',
  'contributionGram',
] as const satisfies readonly (keyof PairSums)[];

/** One MoE layer. All sums are over every token of the calibration text, unless said otherwise. */
export interface LayerStatistics extends PairSums {
  /** Index of the decoder layer. */
  readonly index: number;
  readonly experts: number;
  /** Active experts k the statistics were taken with: the trained number. */
  readonly activeExperts: number;
  readonly hiddenSize: number;
  /** Sums over all tags. */
  readonly total: ExpertSums;
  /** The same per tag, in the order of {@link CalibrationStatistics.tags}; they add up to the total. */
  readonly byTag: readonly TaggedSums[];
  /** Largest |entry of f_e(x)| over X_e, `[experts]` (super experts); 0 for experts never chosen. */
  readonly largestOutputs: Float64Array;
  /** Σ f_e over X_e, `[experts, hidden]`: divided by counts the constant of MoNE. */
  readonly outputSums: Float32Array;
  /** The sums over pairs per tag, parallel to {@link byTag}; absent with a single tag, and where they were left out for their size. */
  readonly pairsByTag?: readonly PairSums[] | undefined;
  /** Σ_t z_i z_j over all tokens, `[experts, experts]`: cosines of router-logit columns (M-SMoE). */
  readonly logitProducts: Float64Array;
  /**
   * Σ_t p_i p_j over all tokens, `[experts, experts]` (gate columns of REAM). p is the softmax of the logits for softmax routers,
   * and the scores divided by their sum for others: non-negative, 1 in sum.
   */
  readonly probabilityProducts: Float64Array;
  /** Σ_t of the p of the r best chosen experts together, `[k]`, entry r - 1: the router mass. Divide by tokens. */
  readonly topMasses: Float64Array;
  /** Σ_t ‖y‖², y the whole output of the block with its shared expert. */
  readonly outputSquares: number;
  readonly sample: InputSample;
  /** Absent when the pass was told not to run all experts. */
  readonly dense?: DenseOutputs | undefined;
}

export interface CalibrationStatistics {
  /** Fingerprint of the checkpoint the statistics belong to. */
  readonly fingerprint: string;
  readonly family: string;
  /** Tokens of the calibration text, padding not counted. */
  readonly tokens: number;
  readonly seed: number;
  /** Task or domain names, in the order of first appearance. */
  readonly tags: readonly string[];
  /** MoE layers in order. */
  readonly layers: readonly LayerStatistics[];
}
