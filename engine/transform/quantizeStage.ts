import path from 'node:path';
import type { FeedForwardSpec, WeightRounding } from '../families/specification';
import { step } from '../measure/jobContext';
import { plannedGroups } from '../methods/quantize/projectionGroups';
import { quantizers, type ExpertBits, type Quantizer } from '../methods/quantize/quantizers';
import { TunerError } from '../protocol/errors';
import type { Plan } from '../protocol/plan';
import { assertGroups, plannedBits } from './quantizeBits';
import { assertSharedGroups, roundShared } from './quantizeOthers';
import { scalableChannels } from './scalableChannels';
import { writeRoundedExpert } from './quantizeWeights';
import { readFeedForward } from './readWeight';
import { roundedExpertsOf, smoothingOf } from './roundedWeightsFile';
import { roundExpert, roundsApart, type ExpertRoundings } from './rounding/roundExpert';
import { KeptRoundings, roundedWhenUsed } from './rounding/roundings';
import { smoothSurroundings } from './smoothBlock';
import type { TransformStage } from './stage';

/** Longest time one expert may take, in seconds. */
const expertDeadlineSeconds = 600;

/**
 * Rounding of the routed experts. Methods that look at weights alone are computed again, which gives the same bytes; what was
 * calibrated is read from the file of rounded weights beside the plan.
 */
export const quantizeStage: TransformStage = {
  section: 'quantize',
  check(blocks, plan, planFile) {
    const quantize = plan.quantize!;
    const bits = plannedBits(quantize.layers, blocks, planFile);
    assertGroups(plannedGroups(quantize), bits, blocks, { file: planFile, place: 'quantize.group' });
    assertSharedGroups(blocks, plan, planFile);
    if (bits.every((experts) => experts.every(unchanged)) && (quantize.others ?? 16) === 16) {
      throw new TunerError('malformedPlan', 'The plan quantizes nothing: all bits are 16.', {
        file: planFile,
        place: 'quantize.layers',
        wayOut: 'Choose 2, 3, 4, 5, 6 or 8 bits for a layer, or take the section out.',
      });
    }
    const method = knownMethod(quantize.method, planFile);
    if (method.needs === 'moments' && weightsFile(plan, planFile) === undefined) {
      throw new TunerError(
        'malformedPlan',
        `The method "${quantize.method}" rounds by calibration, and the plan names no file of rounded weights.`,
        {
          file: planFile,
          place: 'quantize.options.weights',
          wayOut: 'Make the section with "quantize", or choose rtn or hqq.',
        },
      );
    }
  },
  async apply(block, _, position, plan, context) {
    const quantize = plan.quantize!;
    const bits = plannedBits(quantize.layers.slice(position, position + 1), [block], context.planFile)[0]!;
    if (bits.every(unchanged)) {
      return roundShared(block, plan, context);
    }
    const stored = weightsFile(plan, context.planFile);
    if (stored !== undefined) {
      const experts = await roundedExpertsOf(stored, plan, position, block);
      const factors = await smoothingOf(stored, plan, position);
      const norm = context.normBefore?.(block.layer);
      if (factors !== undefined && norm === undefined) {
        throw new TunerError('internal', `The norm before the experts of layer ${block.layer} is not known.`);
      }
      const around = factors === undefined ? block : await smoothSurroundings(block, factors, norm!, context.scratch);
      return roundShared({ ...around, experts }, plan, context);
    }
    const method = knownMethod(quantize.method, context.planFile);
    const { symmetric } = quantize;
    const groups = plannedGroups(quantize);
    const kept = new KeptRoundings(context.scratch);
    const roundings: ExpertRoundings = {
      method: quantize.method as WeightRounding['method'],
      symmetric,
      groups,
      scratch: context.scratch,
      round: (rounding, size) =>
        context.roundWhenUsed === true ? Promise.resolve(roundedWhenUsed(rounding, size)) : kept.keep(rounding, size),
    };
    const experts: FeedForwardSpec[] = [];
    try {
      for (const [expert, network] of block.experts.entries()) {
        context.job.progress(position / quantize.layers.length, `Rounding layer ${block.layer}`);
        const label = `rounding of layer ${block.layer}, expert ${expert}`;
        const name = `layer ${block.layer}.${expert}`;
        const round = async () => {
          if (roundsApart(network, bits[expert]!)) {
            return roundExpert(name, network, bits[expert]!, roundings);
          }
          const weights = await readFeedForward(network);
          const rounding = { bits: bits[expert]!, groups, symmetric, scalableChannels: scalableChannels(block) };
          const rounded = method.round(weights, rounding, undefined);
          return writeRoundedExpert(context.scratch, name, network, weights, rounded);
        };
        experts.push(await step(context.job, label, expertDeadlineSeconds, round));
      }
      await kept.settle();
      return await roundShared({ ...block, experts }, plan, context);
    } finally {
      await kept.dispose();
    }
  },
};

function unchanged({ gate, up, down }: ExpertBits): boolean {
  return gate === 16 && up === 16 && down === 16;
}

/** @throws TunerError `malformedPlan` for a method that does not exist */
function knownMethod(name: string, planFile: string): Quantizer {
  if (Object.hasOwn(quantizers, name)) {
    return quantizers[name as keyof typeof quantizers];
  }
  throw new TunerError('malformedPlan', `There is no quantizer "${name}".`, {
    file: planFile,
    place: 'quantize.method',
    wayOut: `Choose one of ${Object.keys(quantizers).join(', ')}.`,
  });
}

/** Absolute path of the rounded weights that a plan names, a file beside it. */
export function weightsFile(plan: Plan, planFile: string): string | undefined {
  const name = plan.quantize?.options?.['weights'];
  return typeof name === 'string' ? path.resolve(path.dirname(planFile), path.basename(name)) : undefined;
}
