import type { MoeBlockSpec } from '../families/specification';
import { sensitivityGraph, sensitivityNames } from '../graph/sensitivityGraph';
import type { LayerSensitivity } from '../protocol/sensitivity';
import { floats, openSession, type RuntimeOptions } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import { explainNonFinite } from './nonFinite';
import type { ProbeBatches } from './probeInputs';

/** Bytes of expert outputs `[tokens, k0, hidden]` that one step may hold; bounds the engine's own memory. */
const outputBytesPerStep = 2 ** 26;

/** Longest time of one step before the supervisor ends the process, in seconds. */
const stepDeadlineSeconds = 300;

/**
 * LExI's sensitivity of one MoE layer (arXiv 2509.02753, §3.1): D[k] = mean over batches of ||Y_k - Y_k0||_F, here divided by
 * sqrt(tokens) so that it does not depend on their number, and the same as squared relative damage. All k come from one
 * forward with k0 experts.
 *
 * @throws TunerError `cancelled`, `nonFiniteWeights`, `runtimeFailed`, `outOfMemory`
 */
export async function measureSensitivity(
  block: MoeBlockSpec,
  probes: ProbeBatches,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<LayerSensitivity> {
  const k0 = block.activeExperts;
  const tokensPerStep = Math.max(1, Math.floor(outputBytesPerStep / (4 * k0 * block.hiddenSize)));
  const session = await openSession(sensitivityGraph(block), runtime);
  try {
    const batches: { damage: number[]; norm: number; tokens: number }[] = [];
    for (let batch = 0; batch < probes.count; batch += 1) {
      const damage = Array<number>(k0).fill(0);
      let norm = 0;
      const x = probes.batch(batch);
      const tokens = x.length / block.hiddenSize;
      for (let start = 0; start < tokens; start += tokensPerStep) {
        const end = Math.min(start + tokensPerStep, tokens);
        const data = x.subarray(start * block.hiddenSize, end * block.hiddenSize);
        const results = await step(job, `sensitivity of layer ${block.layer}`, stepDeadlineSeconds, () =>
          session.run({ [sensitivityNames.x]: { type: 'float32', data, shape: [end - start, block.hiddenSize] } }),
        );
        norm += floats(results, sensitivityNames.squaredNorm)[0]!;
        if (k0 > 1) {
          floats(results, sensitivityNames.squaredDamage).forEach((value, at) => {
            damage[at]! += value;
          });
        }
      }
      if (!Number.isFinite(norm) || !damage.every(Number.isFinite)) {
        await explainNonFinite(block, block.layer);
      }
      batches.push({ damage, norm, tokens });
    }
    return summarise(block.layer, k0, batches);
  } finally {
    await session.dispose();
  }
}

function summarise(
  index: number,
  k0: number,
  batches: readonly { damage: readonly number[]; norm: number; tokens: number }[],
): LayerSensitivity {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const perBatch = (at: number) => batches.map(({ damage, tokens }) => Math.sqrt(damage[at]! / tokens));
  const totalNorm = sum(batches.map(({ norm }) => norm));
  const tokens = sum(batches.map((batch) => batch.tokens));
  const ranks = Array.from({ length: k0 }, (_, at) => at);
  return {
    index,
    raw: ranks.map((at) => sum(perBatch(at)) / batches.length),
    relativeSquared: ranks.map((at) =>
      totalNorm === 0 ? 0 : sum(batches.map(({ damage }) => damage[at]!)) / totalNorm,
    ),
    outputNorm: Math.sqrt(totalNorm / tokens),
    coefficientOfVariation: Math.max(0, ...ranks.map((at) => coefficientOfVariation(perBatch(at)))),
  };
}

/**
 * How far the reported mean itself may be off, relatively: sample standard deviation over mean, divided by the square root
 * of the number of values. 0 for constant values, and for a single one.
 */
function coefficientOfVariation(values: readonly number[]): number {
  const mean = values.reduce((total, value) => total + value, 0) / values.length;
  if (mean === 0 || values.length < 2) {
    return 0;
  }
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length) / mean;
}
