import { writeSafetensors, type TensorToWrite } from '../checkpoint/writeSafetensors';
import { headGraph, headNames } from '../graph/modelEndsGraph';
import { LayerSessions } from '../measure/layerSessions';
import { walkLayers, type LayerWalkResult } from '../measure/layerWalk';
import { step, type JobContext } from '../measure/jobContext';
import { allFinite, explainNonFinite } from '../measure/nonFinite';
import { batchSequences, type SequenceBatch } from '../measure/sequenceBatches';
import type { ModelSpec } from '../families/specification';
import { openGraph } from '../runtime/openGraph';
import { ranOn } from '../runtime/graphTargets';
import { floats, type RuntimeOptions } from '../runtime/session';
import { attentionHeads } from './evaluate';
import { openModel } from './openModel';
import { openPlannedModel } from './plannedModel';
import { runtimeOptions, type EngineServices } from './services';
import { bytesOf, readTokenIds } from './tensorInput';

const headDeadlineSeconds = 300;

export interface ForwardParams {
  readonly checkpoint: string;
  readonly ids: string;
  readonly out: string;
  readonly plan?: string | undefined;
  readonly activeExperts?: number | readonly number[] | undefined;
  /** Also write `moe_in.I` and `moe_out.I` for every MoE decoder layer I. */
  readonly moeIo: boolean;
}

export interface ForwardResult {
  readonly tokens: number;
  readonly activeExperts: readonly number[];
  readonly seconds: number;
  readonly provider: string;
}

/**
 * Full forward of token lists; writes `logits [batch, time, vocabulary]` float32 to a safetensors file.
 * @throws TunerError `malformedTensorInput`, `usage`, `unsupportedFeature`, `writeFailed`, and those of opening a checkpoint
 */
export async function forward(
  params: ForwardParams,
  services: EngineServices,
  job: JobContext,
): Promise<ForwardResult> {
  const model = await openModel(params.checkpoint);
  const original = model.resolved.decoder();
  const sequences = await readTokenIds(params.ids, original.vocabularySize);
  const start = performance.now();
  const runtime = await runtimeOptions(services, job);
  const planned = await openPlannedModel(model, params, job);
  const active = planned.activeExperts;
  const spec = planned.decoder(original);
  const batches = batchSequences(sequences, attentionHeads(spec));
  const time = sequences[0]!.length;
  const observed = new Map<string, Float32Array>();
  const sessions = new LayerSessions(spec, runtime);
  try {
    const walk = await walkLayers({
      model: spec,
      sessions,
      runtime,
      batches,
      variants: [active],
      job,
      ...(params.moeIo
        ? {
            observe: ({ layer, batch, input, output }) => {
              collect(observed, `moe_in.${layer}`, batches[batch]!, input, sequences.length);
              collect(observed, `moe_out.${layer}`, batches[batch]!, output, sequences.length);
              return Promise.resolve();
            },
          }
        : {}),
    });
    try {
      const logits = await allLogits(spec, runtime, batches, walk, sequences.length, job);
      const seconds = (performance.now() - start) / 1000;
      const tensor = (name: string, values: Float32Array, width: number): TensorToWrite => ({
        name,
        dtype: 'F32',
        shape: [sequences.length, time, width],
        data: bytesOf(values),
      });
      await writeSafetensors(params.out, [
        tensor('logits', logits, spec.vocabularySize),
        ...[...observed].map(([name, values]) => tensor(name, values, spec.hiddenSize)),
      ]);
      return { tokens: sequences.length * time, activeExperts: active, seconds, provider: ranOn(runtime) };
    } finally {
      await walk.dispose();
    }
  } finally {
    await sessions.dispose();
    await planned.dispose();
  }
}

/** Puts the rows of a batch where their sequences belong. */
function collect(
  into: Map<string, Float32Array>,
  name: string,
  batch: SequenceBatch,
  values: Float32Array,
  total: number,
): void {
  const size = values.length / batch.count;
  const all = into.get(name) ?? new Float32Array(size * total);
  batch.sources.forEach((source, row) => all.set(values.subarray(row * size, (row + 1) * size), source * size));
  into.set(name, all);
}

async function allLogits(
  model: ModelSpec,
  runtime: RuntimeOptions,
  batches: readonly SequenceBatch[],
  walk: LayerWalkResult,
  total: number,
  job: JobContext,
): Promise<Float32Array> {
  const session = await openGraph((target) => headGraph(model, target), runtime, { batched: [headNames.hidden] });
  const collected = new Map<string, Float32Array>();
  try {
    for (const [at, batch] of batches.entries()) {
      const data = await walk.hidden(0, at);
      const shape = [batch.count * batch.time, model.hiddenSize];
      const results = await step(job, 'head', headDeadlineSeconds, () =>
        session.run({ [headNames.hidden]: { type: 'float32', data, shape } }),
      );
      const logits = floats(results, headNames.logits);
      if (!allFinite(logits)) {
        await explainNonFinite([model.finalNorm, model.head], model.layers.length);
      }
      collect(collected, 'logits', batch, logits, total);
    }
    return collected.get('logits')!;
  } finally {
    await session.dispose();
  }
}
