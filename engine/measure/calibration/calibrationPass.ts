import type { LayerStatistics } from '../../methods/statistics';
import { specTensors } from '../../families/specTensors';
import type { ModelSpec } from '../../families/specification';
import { PageReader } from '../../runtime/pageReader';
import { embedBatches } from '../embedding';
import { HiddenStore, type MachineOptions } from '../hiddenStore';
import type { JobContext } from '../jobContext';
import { LayerInputs } from '../layerInputs';
import type { ActiveExperts } from '../layerWalk';
import type { SequenceBatch } from '../sequenceBatches';
import { countTokens, tokenOffsets, type TaggedSequence } from './batchTokens';
import type { PassProgress } from './passProgress';
import { passDenseLayer, passMoeLayer, type LayerContext } from './layerPass';
import { measureLayer } from './measureLayer';
import type { LayerTrace } from './routingTrace';
import { sampleTokens } from './tokenSample';

/** Everything one pass found out about a MoE layer. */
export interface MeasuredLayer {
  readonly statistics: LayerStatistics;
  readonly trace?: LayerTrace | undefined;
}

export interface CalibrationOptions {
  readonly model: ModelSpec;
  /** Active experts per MoE layer, as the checkpoint has them. */
  readonly activeExperts: ActiveExperts;
  readonly machine: MachineOptions;
  readonly sequences: readonly TaggedSequence[];
  /** The same sequences in batches. */
  readonly batches: readonly SequenceBatch[];
  readonly tags: readonly string[];
  /** Tokens whose block inputs are kept. */
  readonly sample: number;
  /** Whether all experts run on the sample. */
  readonly dense: boolean;
  /** Whether sums over pairs of experts are kept for every tag too, where they are not too large. */
  readonly taskPairs: boolean;
  /** Whether to keep what every token chose. */
  readonly trace: boolean;
  readonly seed: number;
  readonly job: JobContext;
  /** What an earlier run left, and where this one leaves its own. */
  readonly progress?: PassProgress | undefined;
}

export interface CalibrationPass {
  readonly layers: readonly MeasuredLayer[];
  /** Layers that an earlier run had measured. */
  readonly resumedLayers: number;
}

/**
 * One pass of calibration text through the model, layer by layer: all tokens go through a layer before the next one is opened, so
 * memory holds one layer and the hidden states. The model runs as it is; statistics are taken beside its own computation, from the
 * one router.
 * @throws TunerError `cancelled`, `nonFiniteWeights`, `runtimeFailed`, `outOfMemory`
 */
export async function runCalibration(options: CalibrationOptions): Promise<CalibrationPass> {
  const { model, job, progress } = options;
  const pages = new PageReader();
  const context: LayerContext = {
    ...options,
    inputs: new LayerInputs(),
    store: new HiddenStore(options.machine.hiddenMemoryBytes),
    sampled: sampleTokens(countTokens(options.sequences), options.sample, options.seed),
    offsets: tokenOffsets(options.sequences),
    opened: (layer) => {
      const next = model.layers[model.layers.indexOf(layer) + 1];
      // Processors read what they need of a layer themselves.
      if (next !== undefined && options.machine.provider !== 'cpu') {
        pages.read(specTensors(next));
      }
    },
  };
  try {
    const measured = new Map<number, MeasuredLayer>();
    for (const { index, feedForward } of model.layers) {
      const known = feedForward.kind === 'moe' ? await progress?.readLayer(index) : undefined;
      if (known !== undefined) {
        measured.set(index, known);
      }
    }
    const resumedLayers = measured.size;
    const first = await begin(context, options, measured);
    const lengths = hiddenLengths(options.batches, model.hiddenSize);
    let position = model.layers.slice(0, first).filter(({ feedForward }) => feedForward.kind === 'moe').length;
    for (const [at, layer] of model.layers.entries()) {
      if (at < first || measured.size === options.activeExperts.length) {
        continue;
      }
      const report = (share: number) =>
        job.progress((at + share) / model.layers.length, `Layer ${at + 1} of ${model.layers.length}`);
      const k = options.activeExperts[position]!;
      if (layer.feedForward.kind === 'dense') {
        await passDenseLayer(context, layer, report);
      } else if (measured.has(layer.index)) {
        await passMoeLayer(context, layer, k, report);
      } else {
        const result = await measureLayer(context, layer, layer.feedForward.block, k, report);
        measured.set(layer.index, result);
        await progress?.writeLayer(result);
      }
      position += layer.feedForward.kind === 'moe' ? 1 : 0;
      await progress?.keepHidden(at + 1, lengths, (batch) => context.store.read(String(batch)));
    }
    await progress?.finished();
    return {
      layers: model.layers.flatMap(({ index }) => measured.get(index) ?? []),
      resumedLayers,
    };
  } finally {
    await context.store.dispose();
  }
}

/** Fills the store with the states an earlier run kept, or with embeddings; returns the layer to go on with. */
async function begin(
  context: LayerContext,
  { model, machine, batches, job, progress, activeExperts }: CalibrationOptions,
  measured: ReadonlyMap<number, MeasuredLayer>,
): Promise<number> {
  if (measured.size === activeExperts.length) {
    return model.layers.length;
  }
  const kept = await progress?.readHidden(hiddenLengths(batches, model.hiddenSize));
  const complete = (until: number) =>
    model.layers.slice(0, until).every(({ index, feedForward }) => feedForward.kind === 'dense' || measured.has(index));
  if (kept !== undefined && kept.layer <= model.layers.length && complete(kept.layer)) {
    for (const at of batches.keys()) {
      await context.store.write(String(at), await kept.read(at));
    }
    return kept.layer;
  }
  await embedBatches({ model, runtime: machine, batches, job }, (at, values) =>
    context.store.write(String(at), values),
  );
  return 0;
}

/** Numbers of the hidden states of every batch. */
function hiddenLengths(batches: readonly SequenceBatch[], width: number): number[] {
  return batches.map(({ count, time }) => count * time * width);
}
