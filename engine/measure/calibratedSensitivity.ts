import type { MoeBlockSpec, ModelSpec } from '../families/specification';
import type { LayerSensitivity } from '../protocol/sensitivity';
import type { RuntimeOptions } from '../runtime/session';
import type { JobContext } from './jobContext';
import { LayerSessions } from './layerSessions';
import { walkLayers, type ActiveExperts } from './layerWalk';
import type { ProbeBatches } from './probeInputs';
import { measureSensitivity } from './sensitivity';
import type { SequenceBatch } from './sequenceBatches';

export interface CalibratedMeasurementOptions {
  readonly model: ModelSpec;
  readonly blocks: readonly MoeBlockSpec[];
  readonly trained: ActiveExperts;
  readonly batches: readonly SequenceBatch[];
  readonly sequences: readonly Int32Array[];
  readonly runtime: RuntimeOptions;
  readonly job: JobContext;
}

/** Sensitivity of every MoE layer on the inputs it really gets from calibration text. */
export async function calibratedSensitivity(options: CalibratedMeasurementOptions): Promise<LayerSensitivity[]> {
  return measureOnText(options, (block, probes) => measureSensitivity(block, probes, options.runtime, options.job));
}

/**
 * A measurement of every MoE layer on the inputs it really gets from calibration text, in one walk through the layers. Padding is
 * left out. Batches of the walk are the batches of the measurement.
 */
export async function measureOnText<Measurement>(
  options: CalibratedMeasurementOptions,
  measure: (block: MoeBlockSpec, probes: ProbeBatches) => Promise<Measurement>,
): Promise<Measurement[]> {
  const { model, batches, sequences, runtime, job } = options;
  const blocks = new Map(options.blocks.map((block) => [block.layer, block]));
  const sessions = new LayerSessions(model, runtime);
  const results: Measurement[] = [];
  let inputs: Float32Array[] = [];
  try {
    const walk = await walkLayers({
      model,
      sessions,
      runtime,
      batches,
      variants: [options.trained],
      job,
      observe: async ({ layer, batch, input }) => {
        inputs.push(withoutPadding(input, batches[batch]!, sequences, model.hiddenSize));
        if (inputs.length === batches.length) {
          const probes = probesOf(inputs);
          inputs = [];
          results.push(await measure(blocks.get(layer)!, probes));
        }
      },
    });
    await walk.dispose();
    return results;
  } finally {
    await sessions.dispose();
  }
}

function probesOf(inputs: readonly Float32Array[]): ProbeBatches {
  return { count: inputs.length, batch: (index) => inputs[index]! };
}

function withoutPadding(
  input: Float32Array,
  batch: SequenceBatch,
  sequences: readonly Int32Array[],
  width: number,
): Float32Array {
  const lengths = batch.sources.map((source) => sequences[source]!.length);
  if (lengths.every((length) => length === batch.time)) {
    return input;
  }
  const kept = new Float32Array(lengths.reduce((sum, length) => sum + length, 0) * width);
  let at = 0;
  lengths.forEach((length, row) => {
    const start = row * batch.time * width;
    kept.set(input.subarray(start, start + length * width), at);
    at += length * width;
  });
  return kept;
}
