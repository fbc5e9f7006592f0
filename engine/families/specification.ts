import type { TensorEntry } from '../checkpoint/types';

/** How a weight matrix is stored, as byte ranges of checkpoint files; graphs decode it while they run. */
export type WeightSource =
  | { readonly storage: 'plain'; readonly entry: TensorEntry }
  /** FP8 with one float scale per block of rows × columns (DeepSeek-V3 `weight_scale_inv`). */
  | {
      readonly storage: 'fp8-block';
      readonly entry: TensorEntry;
      readonly scale: TensorEntry;
      readonly block: readonly [number, number];
    }
  /** MXFP4: 4-bit codes `[rows, columns/32, 16]` and one power-of-two scale per 32 values `[rows, columns/32]`. */
  | { readonly storage: 'mxfp4'; readonly blocks: TensorEntry; readonly scales: TensorEntry }
  | BlockQuantizedWeight;

/**
 * Codes of 2, 4 or 8 bits with one scale per `group` consecutive weights of a row, `[rows, columns]`. Codes are unsigned, packed
 * low bits first, `[rows, columns / group, group · bits / 8]` U8; weight = (code - zero point) · scale.
 */
export interface BlockQuantizedWeight {
  readonly storage: 'block-quantized';
  readonly bits: 2 | 4 | 8;
  readonly group: number;
  readonly rows: number;
  readonly columns: number;
  readonly codes: TensorEntry;
  /** F32 `[rows, columns / group]`. */
  readonly scales: TensorEntry;
  /** One U8 per scale; absent: 2^(bits - 1) everywhere. */
  readonly zeroPoints?: TensorEntry | undefined;
  /** Present where no file has the codes: what they are made from whenever they are used. The entries only say their sizes then. */
  readonly rounding?: WeightRounding | undefined;
}

/** Rounding that looks at the weights alone, so that doing it again gives the same codes. */
export interface WeightRounding {
  readonly method: 'rtn' | 'hqq';
  readonly source: LinearSpec;
  /** Which rows are meant where the source has gate and up in one matrix. */
  readonly half?: { readonly which: 'gate' | 'up'; readonly arrangement: 'concatenated' | 'interleaved' } | undefined;
  /** Bits that codes use; they may be stored in more. */
  readonly bits: 2 | 3 | 4 | 5 | 6 | 8;
  readonly symmetric: boolean;
}

/** A linear map. `output-major` weights are `[out, in]` (PyTorch), `input-major` ones `[in, out]`. */
export interface LinearSpec {
  readonly weight: WeightSource;
  readonly orientation: 'output-major' | 'input-major';
  readonly inputSize: number;
  readonly outputSize: number;
  readonly bias?: TensorEntry | undefined;
}

export type NormSpec =
  | { readonly kind: 'rms'; readonly weight: TensorEntry | undefined; readonly epsilon: number; readonly offset: 0 | 1 }
  | {
      readonly kind: 'layer';
      readonly weight: TensorEntry;
      readonly bias: TensorEntry | undefined;
      readonly epsilon: number;
    };

/** Expert and dense feed-forward non-linearities (model-family activations). */
export type ActivationSpec =
  | { readonly kind: 'silu-gated' }
  | { readonly kind: 'gelu-gated'; readonly approximate: 'none' | 'tanh' }
  | { readonly kind: 'relu-gated' }
  /** gpt-oss: gate clipped above, up clipped both sides, (up + 1) · gate · sigmoid(alpha · gate). */
  | { readonly kind: 'clamped-swiglu'; readonly alpha: number; readonly limit: number }
  /** Gate clipped above and up clipped both sides before SiLU. */
  | { readonly kind: 'silu-gated-clipped'; readonly limit: number }
  /** SiLU of the gate clipped above and up clipped both sides, after the non-linearity (Step-3.5). */
  | { readonly kind: 'silu-gated-limited'; readonly limit: number }
  | { readonly kind: 'relu-squared' };

/** One feed-forward network: an expert, a shared expert or a dense layer. */
export type FeedForwardSpec =
  | {
      readonly layout: 'gated';
      readonly gate: LinearSpec;
      readonly up: LinearSpec;
      readonly down: LinearSpec;
    }
  | {
      readonly layout: 'fused-gated';
      readonly gateUp: LinearSpec;
      readonly arrangement: 'concatenated' | 'interleaved';
      readonly down: LinearSpec;
    }
  | { readonly layout: 'ungated'; readonly up: LinearSpec; readonly down: LinearSpec };

/** What the router does to the scores of the chosen experts to get their gates. */
export type GateRule =
  /** Gates are the scores as they are. */
  | { readonly kind: 'score' }
  /** Divided by their sum plus epsilon. */
  | { readonly kind: 'sum'; readonly epsilon: number }
  /** Divided by their sum, clamped from below. */
  | { readonly kind: 'clamped-sum'; readonly minimum: number }
  /** Divided by their p-norm. */
  | { readonly kind: 'p-norm'; readonly p: number }
  /** Softmax over the chosen logits. */
  | { readonly kind: 'softmax-chosen' }
  /** Sigmoid of the chosen logits, divided by their sum where `divided`. */
  | { readonly kind: 'sigmoid-chosen'; readonly divided: boolean };

/** The router pipeline of one MoE layer, in the order in which it runs. */
export interface RouterSpec {
  readonly weight: WeightSource;
  /** Rows of the weight and of both biases that are left, one per expert in order; absent: all of them. */
  readonly keptRows?: readonly number[] | undefined;
  readonly bias?: TensorEntry | undefined;
  /** Tanh soft cap on the logits. */
  readonly softcap?: number | undefined;
  readonly score: 'softmax' | 'sigmoid' | 'logits' | 'sqrt-softplus';
  /** Added to the scores for the choice only, never to the gates. */
  readonly selectionBias?: TensorEntry | undefined;
  readonly groups?:
    | {
        readonly count: number;
        readonly kept: number;
        readonly score: 'max' | 'top2-sum';
        /** Value that scores of dropped groups are replaced with. */
        readonly fill: 'zero' | 'negative-infinity';
      }
    | undefined;
  readonly gates: GateRule;
  /** Ranks whose scores the gate rule sees, at least as many as are active; absent: the active ones (a plan's choice). */
  readonly gateReference?: number | undefined;
  /** Multiplies every gate. */
  readonly scale: number;
  /** Where gates are multiplied: on the expert output, or on its input before the non-linearity (Llama-4). */
  readonly apply: 'output' | 'input';
  /** PhiMoE's sparse mixer replaces score, choice and gates; it defines k = 1 and 2 only. */
  readonly sparseMixer?: { readonly threshold: number } | undefined;
}

/** How the shared expert joins the routed sum. */
export interface SharedExpertSpec {
  readonly network: FeedForwardSpec;
  readonly activation: ActivationSpec;
  /** Number of shared experts that the network stands for. */
  readonly count: number;
  /** `[1, hidden]` weight of a sigmoid gate (Qwen2-MoE). */
  readonly gate?: LinearSpec | undefined;
  /** Multiplies the output: one half where the family averages shared and routed experts. */
  readonly scale?: number | undefined;
}

export interface MoeBlockSpec {
  readonly layer: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly experts: readonly FeedForwardSpec[];
  /** Trained number of active experts per token, k0. */
  readonly activeExperts: number;
  readonly router: RouterSpec;
  /** Multiplies the sum of the routed experts: the correction of a plan; never of a checkpoint's own family. */
  readonly routedScale?: number | undefined;
  /** The same by number of active experts less one, on top of it: for measuring many allocations with one graph, never written. */
  readonly routedScales?: readonly number[] | undefined;
  readonly activation: ActivationSpec;
  readonly shared?: SharedExpertSpec | undefined;
  /** A shared network that the decoder layer adds beside the block: not part of the block's own output (Granite). */
  readonly beside?: SharedExpertSpec | undefined;
  /** Added once to the output of the block (JetMoE). */
  readonly outputBias?: TensorEntry | undefined;
  /** Norm that has to stand before the block in place of the layer's own, where a plan smoothed its inputs. */
  readonly inputNorm?: NormSpec | undefined;
}

/** Rotary position embedding of one attention layer, resolved to numbers. */
export interface RotarySpec {
  /** Rotated dimensions per head; the rest passes through. */
  readonly dimensions: number;
  /** `half` rotates (i, i + d/2), `interleaved` rotates (2i, 2i + 1). */
  readonly pairing: 'half' | 'interleaved';
  readonly scaling: RotaryScaling;
}

export type RotaryScaling =
  | { readonly kind: 'default'; readonly theta: number }
  | { readonly kind: 'linear'; readonly theta: number; readonly factor: number }
  | {
      readonly kind: 'dynamic';
      readonly theta: number;
      readonly factor: number;
      readonly maxPositions: number;
    }
  | {
      readonly kind: 'yarn';
      readonly theta: number;
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalPositions: number;
      readonly truncate: boolean;
      /** Multiplies cosine and sine. */
      readonly attentionFactor: number;
    }
  | {
      readonly kind: 'llama3';
      readonly theta: number;
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalPositions: number;
    }
  | {
      readonly kind: 'longrope';
      readonly theta: number;
      readonly shortFactor: readonly number[];
      readonly longFactor: readonly number[];
      readonly originalPositions: number;
      readonly shortScale: number;
      readonly longScale: number;
    };

export type AttentionMask =
  | { readonly kind: 'causal' }
  | { readonly kind: 'sliding'; readonly window: number }
  | { readonly kind: 'chunked'; readonly chunk: number };

/** Multi-head or grouped-query attention. */
export interface GroupedQueryAttentionSpec {
  readonly kind: 'grouped-query';
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly query: LinearSpec;
  readonly key: LinearSpec;
  readonly value: LinearSpec;
  readonly output: LinearSpec;
  /** Normalisation of queries and keys: over each head, or over the whole projection. */
  readonly queryNorm?: NormSpec | undefined;
  readonly keyNorm?: NormSpec | undefined;
  readonly queryKeyNormScope: 'head' | 'projection';
  /** Whether query/key normalisation comes before or after the rotation. */
  readonly queryKeyNormOrder: 'before-rotary' | 'after-rotary';
  /** Clamp of all projections to [-c, c], after a norm of the whole projection (OLMoE, DBRX). */
  readonly clip?: number | undefined;
  readonly rotary?: RotarySpec | undefined;
  readonly scale: number;
  readonly mask: AttentionMask;
  /** One learned logit per head in the softmax denominator (gpt-oss). */
  readonly sinks?: TensorEntry | undefined;
  /** Llama-4: queries of layers without rotary are scaled by log((p + 1)/floor)·scale + 1. */
  readonly temperature?: { readonly floor: number; readonly scale: number } | undefined;
  readonly softcap?: number | undefined;
}

/** Multi-head latent attention (DeepSeek-V2/V3). */
export interface LatentAttentionSpec {
  readonly kind: 'latent';
  readonly heads: number;
  readonly ropeSize: number;
  readonly noRopeSize: number;
  readonly valueSize: number;
  readonly latentSize: number;
  /** Either one query projection, or a low-rank pair with a norm between. */
  readonly query: LinearSpec | { readonly down: LinearSpec; readonly norm: NormSpec; readonly up: LinearSpec };
  readonly keyValueDown: LinearSpec;
  readonly keyValueNorm: NormSpec;
  readonly keyValueUp: LinearSpec;
  readonly output: LinearSpec;
  readonly rotary: RotarySpec;
  readonly scale: number;
  readonly mask: AttentionMask;
}

/** LFM2's gated short convolution, the other token mixer. */
export interface ShortConvolutionSpec {
  readonly kind: 'short-convolution';
  readonly input: LinearSpec;
  readonly output: LinearSpec;
  /** Depth-wise kernel `[hidden, 1, width]`. */
  readonly kernel: TensorEntry;
  readonly kernelBias?: TensorEntry | undefined;
  readonly width: number;
}

export type TokenMixerSpec = GroupedQueryAttentionSpec | LatentAttentionSpec | ShortConvolutionSpec;

export type LayerFeedForward =
  | { readonly kind: 'dense'; readonly network: FeedForwardSpec; readonly activation: ActivationSpec }
  | { readonly kind: 'moe'; readonly block: MoeBlockSpec };

/** One decoder layer: token mixer and feed-forward, each with its residual. */
export interface DecoderLayerSpec {
  readonly index: number;
  readonly mixer: TokenMixerSpec;
  /** Norms before (`pre`) or after (`post`, OLMo-2 style) each branch. */
  readonly mixerNorm: NormSpec;
  readonly feedForwardNorm: NormSpec;
  readonly normPlacement: 'pre' | 'post';
  readonly residualMultiplier: number;
  readonly feedForward: LayerFeedForward;
}

/** Everything the forward needs, resolved from config and tensor headers: no weights are read yet. */
export interface ModelSpec {
  readonly family: string;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  readonly embedding: TensorEntry;
  readonly embeddingMultiplier: number;
  readonly layers: readonly DecoderLayerSpec[];
  readonly finalNorm: NormSpec;
  readonly head: LinearSpec;
  /** Logits are multiplied by this. */
  readonly logitMultiplier: number;
  readonly logitSoftcap?: number | undefined;
}
