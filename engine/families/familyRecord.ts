import type { ConfigObject } from '../checkpoint/types';
import type { ActivationSpec } from './specification';

/** A flag of the config that switches a rule on; families differ in the key and in what absence means. */
export interface FlagKey {
  readonly keys: readonly string[];
  readonly absent: boolean;
}

/** Config keys of the facts every MoE family has; families override what they spell in their own way. */
export interface ConfigKeys {
  readonly experts: readonly string[];
  readonly activeExperts: readonly string[];
  readonly layers: readonly string[];
  readonly hiddenSize: readonly string[];
  readonly vocabularySize: readonly string[];
  readonly heads: readonly string[];
  readonly keyValueHeads: readonly string[];
  readonly normEpsilon: readonly string[];
  readonly sharedExperts: readonly string[];
  readonly maxPositions: readonly string[];
}

/** Tensor names before and inside the decoder layers; `root` comes first, `head` is absolute. */
export interface TensorRoot {
  readonly root: string;
  readonly head: string;
}

export interface ModelTensorNames {
  /** Candidates in order; the first under which layers are found is taken. */
  readonly roots: readonly TensorRoot[];
  /** Stem of a decoder layer below the root, with `{layer}`. */
  readonly layer: string;
  readonly embedding: string;
  readonly finalNorm: string;
}

export type GateRuleRecord =
  | { readonly kind: 'score' }
  | { readonly kind: 'sum'; readonly epsilon: number; readonly when?: FlagKey }
  | { readonly kind: 'clamped-sum'; readonly minimumKeys: readonly string[]; readonly absent: number }
  | { readonly kind: 'p-norm'; readonly keys: readonly string[] }
  | { readonly kind: 'softmax-chosen' }
  | { readonly kind: 'sigmoid-chosen'; readonly dividedWhen?: FlagKey }
  /** The value of a key names the rule. */
  | {
      readonly kind: 'by-key';
      readonly key: string;
      readonly absent: string;
      readonly rules: Readonly<Record<string, Exclude<GateRuleRecord, { readonly kind: 'by-key' }>>>;
    };

/** The router pipeline of a family as data; names are below the layer stem. */
export interface RouterRecord {
  readonly weight: string;
  readonly bias?: string;
  readonly selectionBias?: string;
  readonly selectionBiasWhen?: FlagKey;
  /** Checkpoints of the family exist with and without the selection bias. */
  readonly selectionBiasOptional?: boolean;
  readonly score: 'softmax' | 'sigmoid' | 'logits' | 'sqrt-softplus';
  /** Tanh soft cap of the logits; 0 and absence mean none. */
  readonly softcapKeys?: readonly string[];
  readonly groups?: {
    readonly countKeys: readonly string[];
    readonly keptKeys: readonly string[];
    readonly score: 'max' | 'top2-sum';
    readonly fill: 'zero' | 'negative-infinity';
    /** Groups apply only where this key has this value. */
    readonly when?: { readonly key: string; readonly equals: string };
  };
  readonly gates: GateRuleRecord;
  readonly scaleKeys?: readonly string[];
  readonly apply?: 'output' | 'input';
  readonly sparseMixer?: { readonly thresholdKeys: readonly string[]; readonly absent: number };
}

/** One way the routed experts of a family are stored; names are below the layer stem. */
export type ExpertLayout =
  /** One tensor per expert and projection; names hold `{expert}` and end before `.weight`. */
  | { readonly layout: 'separate'; readonly gate: string; readonly up: string; readonly down: string }
  | { readonly layout: 'separate-ungated'; readonly up: string; readonly down: string }
  /** `[experts, 2 · width, hidden]` and `[experts, hidden, width]`, or both with the inner axes exchanged. */
  | {
      readonly layout: 'fused';
      readonly gateUp: string;
      readonly down: string;
      readonly arrangement: 'concatenated' | 'interleaved';
      /** Which orientation to believe when the two inner sizes are equal. */
      readonly orientation: 'output-major' | 'input-major';
      readonly gateUpBias?: string;
      readonly downBias?: string;
    }
  /** gpt-oss MXFP4: `<name>_blocks` and `<name>_scales`, rows interleaved. */
  | {
      readonly layout: 'fused-mxfp4';
      readonly gateUp: string;
      readonly down: string;
      readonly gateUpBias?: string;
      readonly downBias?: string;
    }
  /** One three-dimensional tensor per projection, output-major. */
  | { readonly layout: 'stacked'; readonly gate: string; readonly up: string; readonly down: string }
  /** DBRX: `[experts · width, hidden]` each; the down projection is stored input-major. */
  | { readonly layout: 'row-blocks'; readonly gate: string; readonly up: string; readonly down: string };

export type ActivationRecord =
  | { readonly kind: 'named'; readonly keys: readonly string[]; readonly absent: string }
  | { readonly kind: 'fixed'; readonly activation: ActivationSpec }
  /** gpt-oss' clamped SwiGLU with its numbers in the config (MiniMax-M3). */
  | {
      readonly kind: 'clamped-swiglu';
      readonly alpha: { readonly key: string; readonly absent: number };
      readonly limit: { readonly key: string; readonly absent: number };
    }
  /** SiLU with a limit per layer; 0, null and absence mean none (Step-3.5). */
  | { readonly kind: 'limited'; readonly limitsKey: string };

/** Names of a dense or shared network below the layer stem, before `.weight`. */
export type NetworkNames =
  | { readonly layout: 'gated'; readonly gate: string; readonly up: string; readonly down: string }
  | { readonly layout: 'ungated'; readonly up: string; readonly down: string }
  /** One output-major matrix whose upper half is the gate. */
  | { readonly layout: 'fused'; readonly gateUp: string; readonly down: string };

export interface SharedRecord {
  readonly network: NetworkNames;
  readonly gate?: string;
  /** The decoder layer adds it, outside the block: outputs of the block do not contain it. */
  readonly beside?: boolean;
  /** Where this key has this value, the block's output is the mean of shared and routed experts. */
  readonly averagedWhen?: { readonly key: string; readonly equals: string; readonly absent: string };
  /** Differs from the routed experts' only in Step-3.5. */
  readonly activation?: ActivationRecord;
}

/** Which positions a query may see. */
export type MaskRecord =
  | { readonly rule: 'causal' }
  /** Every layer slides when `sliding_window` is set. */
  | { readonly rule: 'window' }
  /** Every layer slides when `use_sliding_window` is true. */
  | { readonly rule: 'window-flag' }
  /** `layer_types` decides; where it is absent, the named fallback does. */
  | {
      readonly rule: 'layer-types';
      readonly absent: 'causal' | 'alternating' | 'pattern' | 'qwen2' | 'upper-window' | 'chunked';
    };

export interface RotaryRecord {
  readonly pairing: 'half' | 'interleaved';
  /** Flag that can turn interleaving off. */
  readonly interleavedWhen?: FlagKey;
  readonly defaultTheta: number;
  readonly thetaKeys?: readonly string[];
  /** Share of the head that is rotated when the config does not say. */
  readonly defaultPartial?: number;
  /** Key with the number of rotated dimensions. */
  readonly dimensionKeys?: readonly string[];
  /** Llama-4: list with 1 for layers that rotate, 0 for layers without position embedding. */
  readonly usedInLayers?: { readonly key: string; readonly intervalKey: string; readonly absentInterval: number };
  /** EXAONE: where some layers slide, only those rotate. */
  readonly onlySlidingLayers?: boolean;
  /** PhiMoE in Transformers 5: long sequences keep the short factors, only the scale changes. */
  readonly longFactorsUnused?: boolean;
}

export interface GroupedQueryRecord {
  readonly kind: 'grouped-query';
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly output: string;
  /** DBRX: one matrix with the rows of all three. */
  readonly fusedQueryKeyValue?: string;
  readonly queryKeyNorm?: {
    /** Undefined names mean a norm without weights (Llama-4). */
    readonly query?: string;
    readonly key?: string;
    readonly scope: 'head' | 'projection';
    readonly order: 'before-rotary' | 'after-rotary';
    readonly when?: FlagKey;
    readonly onlyRotaryLayers?: boolean;
  };
  readonly clipKeys?: readonly string[];
  readonly mask: MaskRecord;
  readonly rotary: RotaryRecord;
  /** Key with the softmax scale; absent families use headSize^-1/2. */
  readonly scaleKeys?: readonly string[];
  readonly sinks?: string;
  readonly temperature?: {
    readonly when: FlagKey;
    readonly floorKeys: readonly string[];
    readonly scaleKeys: readonly string[];
  };
}

export interface LatentRecord {
  readonly kind: 'latent';
  readonly rotary: RotaryRecord;
}

/** LFM2: `layer_types` says which layers are short convolutions. */
export interface ConvolutionRecord {
  readonly layerType: string;
  readonly input: string;
  readonly output: string;
  readonly kernel: string;
}

export interface NormRecord {
  readonly kind: 'rms' | 'layer';
  readonly mixer: string;
  readonly feedForward: string;
  readonly placement: 'pre' | 'post';
}

/** What the full forward needs beyond the MoE blocks. */
export interface DecoderRecord {
  readonly supported: true;
  readonly mixer: GroupedQueryRecord | LatentRecord;
  readonly convolution?: ConvolutionRecord;
  readonly norms: NormRecord;
  readonly defaultEpsilon: number;
  readonly dense?: NetworkNames;
  readonly tiedHeadAbsent?: boolean;
  readonly tiedHeadKeys?: readonly string[];
  readonly embeddingMultiplierKeys?: readonly string[];
  readonly residualMultiplier?: { readonly keys: readonly string[]; readonly overRootOfLayers: boolean };
  readonly logits?:
    | { readonly kind: 'divided'; readonly keys: readonly string[] }
    | { readonly kind: 'multiplied'; readonly keys: readonly string[] }
    /** MiniCPM: divided by hidden size over this base. */
    | { readonly kind: 'hidden-over-base'; readonly keys: readonly string[] };
}

/** A family whose MoE blocks can be measured and changed, but whose full forward cannot run here. */
export interface UnsupportedDecoder {
  readonly supported: false;
  /** Completes the sentence "The full forward of … cannot run here: …". */
  readonly reason: string;
  /** The norm before the MoE blocks, where there is one: its weights scale probe inputs. */
  readonly blockNorm?: BlockNormRecord;
}

export interface BlockNormRecord {
  readonly name: string;
  /** 1 where weights are stored as their difference from one (Qwen3-Next). */
  readonly offset?: 0 | 1;
}

/** Names of the parts of a block that replace those of the record. */
export interface InMemoryNames {
  readonly router: RouterRecord;
  readonly experts: readonly ExpertLayout[];
  readonly shared?: SharedRecord;
}

/** Everything the engine knows about one model family, as data. */
export interface FamilyRecord {
  readonly name: string;
  readonly title: string;
  readonly modelTypes: readonly string[];
  readonly architectures: readonly string[];
  /** Releases carry the model type of an older family: the architecture decides. */
  readonly knownByArchitecture?: boolean;
  /** The record applies only where this key is at least 1 (families with dense siblings of the same type). */
  readonly requires?: string;
  /** Variants of the family that the record does not describe: keys that must be absent, null, 0, false or empty. */
  readonly refuses?: readonly { readonly key: string; readonly equals?: string; readonly reason: string }[];
  /** What a person should know about every checkpoint of the family. */
  readonly warnings?: readonly string[];
  readonly keys?: Partial<ConfigKeys>;
  /** What the reference implementation takes where config.json leaves a key out (null is no absence), by dotted key. */
  readonly defaults?: ConfigObject;
  /** The reference implementation does not read `moe_intermediate_size`, so a stale one is no contradiction. */
  readonly ignoresExpertWidth?: boolean;
  readonly tensors?: Partial<ModelTensorNames>;
  readonly router: RouterRecord;
  /** Storage layouts in the order in which they are tried. */
  readonly experts: readonly ExpertLayout[];
  /** The names in memory of Transformers 5, which it can also write; they hold where the checkpoint has this router. */
  readonly inMemory?: InMemoryNames;
  readonly activation: ActivationRecord;
  readonly shared?: SharedRecord;
  /** Name of a vector that is added once to the output of the block. */
  readonly outputBias?: string;
  /** Stacked tensors of experts that the same number of active experts rules, which the engine only counts. */
  readonly otherExperts?: readonly string[];
  readonly decoder: DecoderRecord | UnsupportedDecoder;
}
