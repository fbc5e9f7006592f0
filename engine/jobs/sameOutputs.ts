import type { ModelSpec } from '../families/specification';
import { specTensors } from '../families/specTensors';
import { compareModels } from '../measure/compareModels';
import type { JobContext } from '../measure/jobContext';
import type { OpenModel } from './openModel';
import type { PlannedModel } from './plannedModel';
import { withKeptRoundings } from './keptModel';
import { refuseIf } from './verifyWritten';

/** Unit roundoff of the types that computed weights are stored in: half the distance of 1 to the next number. */
const roundoff: Readonly<Record<string, number>> = {
  F32: 2 ** -24,
  F16: 2 ** -11,
  BF16: 2 ** -8,
  F8_E4M3: 2 ** -4,
  F8_E5M2: 2 ** -3,
};

/** Roundings of weights that one output adds up, as a factor on the unit roundoff; sums in another order stay below the floor. */
const roundings = 3;
const sumsInAnotherOrder = 1e-5;

/** The check runs on the processor: its sums are the reference. */
const runtime = { provider: 'cpu', threads: 0 } as const;

/**
 * Runs a few tokens through the model that a plan describes and through the one that was written.
 * @param decoder of the original checkpoint; without it only the MoE blocks run
 * @throws TunerError `writeFailed` where they differ by more than the rounding of the stored types; `cancelled`
 */
export async function assertSameOutputs(
  decoder: ModelSpec | undefined,
  planned: PlannedModel,
  written: OpenModel,
  job: JobContext,
): Promise<void> {
  const { relative, layer } = await withKeptRoundings(planned, decoder, (expected) =>
    compareModels(
      {
        expected: expected.blocks,
        found: written.resolved.blocks,
        decoders:
          expected.decoder === undefined
            ? undefined
            : { expected: expected.decoder, found: written.resolved.decoder() },
        activeExperts: planned.activeExperts,
      },
      runtime,
      job,
    ),
  );
  const types = new Set(specTensors(written.resolved.blocks.map(({ experts }) => experts)).map(({ dtype }) => dtype));
  const coarsest = Math.max(...[...types].map((dtype) => roundoff[dtype] ?? 0));
  const allowed = Math.max(sumsInAnotherOrder, roundings * coarsest);
  refuseIf(written.checkpoint.folder, !(relative <= allowed), () => {
    return `layer ${layer} computes something else than the plan (${relative.toPrecision(2)} of its output, ${allowed.toPrecision(2)} is rounding)`;
  });
}
