import type { PruneMethodName } from '../../protocol/pruning';
import type { ExpertSums, LayerStatistics, PairSums } from '../statistics';

/** What every method knows of a MoE layer. */
export interface LayerFacts {
  /** Index of the decoder layer. */
  readonly index: number;
  readonly experts: number;
}

/** A layer with what calibration measured. */
export interface MeasuredLayer extends LayerFacts {
  readonly statistics: LayerStatistics;
  /** The sums to rank by: those of all texts, or of the chosen tasks. */
  readonly sums: ExpertSums;
  /** The sums over pairs of experts of the same texts; undefined where calibration left them out for single tasks. */
  readonly pairs: PairSums | undefined;
  /** Whether the sums are those of all texts: mean outputs exist for all texts only. */
  readonly allTexts: boolean;
}

/** A layer whose weights can be read. */
export interface WeighedLayer extends LayerFacts {
  readonly hiddenSize: number;
  /** Router weight `[experts, hidden]`, as float32. */
  routerRows(): Promise<Float32Array>;
  /** Matrices of one expert as float32, in a fixed order and each in the order of its file. */
  expertWeights(expert: number): Promise<readonly Float32Array[]>;
}

/** A layer beside the same layer of the checkpoint it was fine-tuned from. */
export interface ComparedLayer extends WeighedLayer {
  baseRouterRows(): Promise<Float32Array>;
}

/** A layer that can be run with some of its experts on inputs kept from calibration. */
export interface ReconstructedLayer extends LayerFacts {
  /** Relative error of the block output ‖Y - Y(keep)‖ / ‖Y‖, over all kept tokens, with these experts alone. */
  loss(keep: readonly number[]): Promise<number>;
}

/** What a method reads, by the name of its need. */
export interface LayerOfNeed {
  readonly nothing: LayerFacts;
  readonly statistics: MeasuredLayer;
  readonly weights: WeighedLayer;
  readonly base: ComparedLayer;
  readonly reconstruction: ReconstructedLayer;
}

export type PruneNeed = keyof LayerOfNeed;

/** What a choice of experts must respect. Guards are bounds, never penalties. */
export interface KeepLimits {
  /** Experts that stay. */
  readonly count: number;
  /** Experts that stay in any case. */
  readonly pinned: ReadonlySet<number>;
  /** Groups of equal size among which the router chooses; every group keeps the same number. 1 for other routers. */
  readonly groups: number;
}

/** One layer as a method sees it. */
export interface LayerRanking {
  /** One number per expert; the higher, the more the expert is needed. */
  readonly scores: readonly number[];
  /** Experts that stay, ascending. */
  keep(limits: KeepLimits): readonly number[] | Promise<readonly number[]>;
  /** The method's own prediction of the damage to the layer, when it has one that can be compared between layers. */
  damage?(keep: readonly number[]): number | Promise<number>;
}

/** A published method: a function from what was measured to which experts stay. */
export interface PruneMethodOf<Need extends PruneNeed> {
  readonly name: PruneMethodName;
  readonly title: string;
  /** One line for a person who chooses. */
  readonly explanation: string;
  readonly source: string;
  readonly needs: Need;
  /** @throws TunerError `usage` where the method has nothing to go by */
  rank(layer: LayerOfNeed[Need], seed: number): LayerRanking | Promise<LayerRanking>;
}

export type PruneMethod = { [Need in PruneNeed]: PruneMethodOf<Need> }[PruneNeed];
