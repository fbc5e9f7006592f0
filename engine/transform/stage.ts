import type { MoeBlockSpec, NormSpec } from '../families/specification';
import type { JobContext } from '../measure/jobContext';
import type { Plan } from '../protocol/plan';
import type { ScratchWeights } from './scratchWeights';

/** What a stage may use besides block and plan. */
export interface TransformContext {
  readonly scratch: ScratchWeights;
  readonly job: JobContext;
  /** Plan file, for messages. */
  readonly planFile: string;
  /**
   * Codes that weights alone decide are not kept in scratch files but computed whenever they are written: for exports, which write
   * them once. Graphs cannot read such weights.
   */
  readonly roundWhenUsed?: boolean | undefined;
  /** The norm before the block of a decoder layer, where a plan smooths its inputs. */
  readonly normBefore?: ((layer: number) => NormSpec) | undefined;
}

/** One section of a plan as a change of MoE blocks. */
export interface TransformStage {
  /** Key of the section in a plan. */
  readonly section: 'prune' | 'merge' | 'quantize' | 'gates';
  /**
   * Checks a section against all blocks as the stages before it left them, before anything is computed.
   * @throws TunerError `malformedPlan` or `unsupportedFeature` naming file, place and way out
   */
  check(blocks: readonly MoeBlockSpec[], plan: Plan, planFile: string): void;
  /**
   * The changed block; the given one where the section changes nothing in it. Untouched parts keep their identity.
   * @param block as the stages before left it
   * @param original as the checkpoint has it: its experts are those that ids in plans mean
   * @param position of the block among the MoE layers
   */
  apply(
    block: MoeBlockSpec,
    original: MoeBlockSpec,
    position: number,
    plan: Plan,
    context: TransformContext,
  ): Promise<MoeBlockSpec>;
}
