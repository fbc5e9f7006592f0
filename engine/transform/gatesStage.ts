import { renormalises } from '../families/renormalises';
import type { MoeBlockSpec } from '../families/specification';
import { TunerError } from '../protocol/errors';
import { assertLayers } from './pruneStage';
import { scaledBlock } from './scaledBlock';
import type { TransformStage } from './stage';

/**
 * Correction of the gates for fewer active experts: gates divided by the scores of the first r ranks, or one factor on the routed
 * output per layer. Both are changes of the specification alone.
 */
export const gatesStage: TransformStage = {
  section: 'gates',
  check(blocks, plan, planFile) {
    const { reference, scale } = plan.gates!;
    if (scale !== undefined) {
      assertLayers('gates.scale', scale.length, blocks.length, planFile);
    }
    if (reference !== undefined) {
      assertLayers('gates.reference', reference.length, blocks.length, planFile);
      reference.forEach((ranks, at) => {
        assertReference(blocks[at]!, ranks, `gates.reference[${at}]`, planFile);
      });
    }
  },
  apply(block, _, position, plan) {
    const reference = plan.gates!.reference?.[position];
    const scale = plan.gates!.scale?.[position];
    const referred =
      reference === undefined ? block : { ...block, router: { ...block.router, gateReference: reference } };
    return Promise.resolve(scaledBlock(referred, scale));
  },
};

function assertReference(block: MoeBlockSpec, ranks: number, place: string, file: string): void {
  if (!renormalises(block.router.gates) || block.router.sparseMixer !== undefined) {
    throw new TunerError(
      'unsupportedFeature',
      `The router of decoder layer ${block.layer} does not divide its gates by their sum, so there is no reference to choose.`,
      { file, place, wayOut: 'Use "scale" instead.' },
    );
  }
  if (ranks > block.experts.length) {
    throw new TunerError('malformedPlan', `Decoder layer ${block.layer} has no ${ranks} experts.`, {
      file,
      place,
      wayOut: `Choose a number from 1 to ${block.experts.length}.`,
    });
  }
}
