import type { DecoderLayerSpec, ModelSpec, MoeBlockSpec } from '../families/specification';
import { specLinears } from '../families/specLinears';
import { specTensors } from '../families/specTensors';
import { decoderLayerGraph, layerNames } from '../graph/decoderLayerGraph';
import { SeededRandom } from '../numeric/seededRandom';
import { fillStandardNormal } from '../numeric/standardNormal';
import { floats, openSession, type Results, type RuntimeOptions } from '../runtime/session';
import { runBlock } from './blockRun';
import { embedBatches } from './embedding';
import { step, type JobContext } from './jobContext';
import { LayerInputs } from './layerInputs';

/** Tokens that both models get. */
const sampleTokens = 8;
/**
 * Expert bytes up to which the whole decoder is compared. Of larger models only the MoE blocks of the first, the middle and the last
 * MoE layer run, on fewer tokens: the check must not take longer than writing.
 */
const comparedBytes = 2 ** 30;
const fewTokens = 2;
const layerDeadlineSeconds = 300;

/** Two forms of one model that should compute the same. */
export interface ComparedModels {
  /** MoE blocks in layer order. */
  readonly expected: readonly MoeBlockSpec[];
  readonly found: readonly MoeBlockSpec[];
  /** Both decoders, where the family has a forward; without them, and in large models, the MoE blocks are compared on Gaussian inputs. */
  readonly decoders?: { readonly expected: ModelSpec; readonly found: ModelSpec } | undefined;
  /** Active experts per MoE layer in order. */
  readonly activeExperts: readonly number[];
}

/** How far two models are apart: the largest ‖found − expected‖ / ‖expected‖ over the compared parts. */
export interface Deviation {
  readonly relative: number;
  /** Decoder layer where it was found. */
  readonly layer: number;
}

/**
 * Runs both models layer by layer on a few tokens. Every layer of both gets the hidden states of the expected model, and every MoE
 * block the same input, so that a rounded weight shows as its own small deviation and never as another choice of experts.
 * @throws TunerError `cancelled`, `runtimeFailed`, `nonFiniteWeights`
 */
export async function compareModels(
  models: ComparedModels,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<Deviation> {
  const { expected, decoders } = models;
  const few = fewPositions(expected);
  if (few !== undefined) {
    return compareBlocks(models, few, fewTokens, { runtime, job });
  }
  return decoders === undefined
    ? compareBlocks(models, new Set(expected.keys()), sampleTokens, { runtime, job })
    : compareLayers(models, decoders, runtime, job);
}

/** Positions of the only MoE blocks that are run of a large model; undefined where all of it is. */
export function fewPositions(blocks: readonly MoeBlockSpec[]): ReadonlySet<number> | undefined {
  const weights = blocks.flatMap(({ experts }) => experts.flatMap(specLinears)).map(({ weight }) => weight);
  // What codes are made from is not run.
  const run = weights.map((each) => (each.storage === 'block-quantized' ? { ...each, rounding: undefined } : each));
  const last = blocks.length - 1;
  return specTensors(run).reduce((sum, { byteLength }) => sum + byteLength, 0) > comparedBytes
    ? new Set([0, Math.floor(last / 2), last])
    : undefined;
}

async function compareBlocks(
  { expected, found, activeExperts }: ComparedModels,
  positions: ReadonlySet<number>,
  tokens: number,
  { runtime, job }: { readonly runtime: RuntimeOptions; readonly job: JobContext },
): Promise<Deviation> {
  let worst: Deviation = { relative: 0, layer: expected[0]!.layer };
  for (const position of positions) {
    const block = expected[position]!;
    const input = new Float32Array(tokens * block.hiddenSize);
    fillStandardNormal(input, new SeededRandom(position));
    const k = activeExperts[position]!;
    const wanted = await runBlock(block, input, k, runtime, job);
    worst = larger(worst, wanted, await runBlock(found[position]!, input, k, runtime, job), block.layer);
  }
  return worst;
}

async function compareLayers(
  { found, activeExperts }: ComparedModels,
  decoders: NonNullable<ComparedModels['decoders']>,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<Deviation> {
  const inputs = new LayerInputs();
  let hidden = await embedded(decoders.expected, runtime, job);
  let worst = larger({ relative: 0, layer: -1 }, hidden, await embedded(decoders.found, runtime, job), -1);
  let position = 0;
  for (const [index, layer] of decoders.expected.layers.entries()) {
    const moe = layer.feedForward.kind === 'moe';
    const at = position;
    position += moe ? 1 : 0;
    const k = moe ? activeExperts[at]! : undefined;
    const run = (spec: DecoderLayerSpec) => runLayer(spec, hidden, k, { inputs, runtime, job });
    const wanted = await run(layer);
    const actual = await run(decoders.found.layers[index]!);
    const next = floats(wanted, layerNames.next);
    if (moe) {
      const input = floats(wanted, layerNames.moeInput);
      worst = larger(worst, input, floats(actual, layerNames.moeInput), index);
      const output = await runBlock(found[at]!, input, k!, runtime, job);
      worst = larger(worst, floats(wanted, layerNames.moeOutput), output, index);
    } else {
      const own = (values: Float32Array) => values.map((value, each) => value - hidden[each]!);
      worst = larger(worst, own(next), own(floats(actual, layerNames.next)), index);
    }
    hidden = next;
  }
  return worst;
}

/** Hidden states of some tokens before the first layer, `[1, tokens, hidden]`. */
async function embedded(model: ModelSpec, runtime: RuntimeOptions, job: JobContext): Promise<Float32Array> {
  const random = new SeededRandom(0);
  const ids = BigInt64Array.from({ length: sampleTokens }, () => BigInt(random.integerBelow(model.vocabularySize)));
  let hidden = new Float32Array();
  const batches = [{ ids, count: 1, time: sampleTokens, sources: [0] }];
  await embedBatches({ model, runtime, batches, job }, (_, values) => {
    hidden = Float32Array.from(values);
    return Promise.resolve();
  });
  return hidden;
}

async function runLayer(
  layer: DecoderLayerSpec,
  hidden: Float32Array,
  k: number | undefined,
  { inputs, runtime, job }: { inputs: LayerInputs; runtime: RuntimeOptions; job: JobContext },
): Promise<Results> {
  const width = hidden.length / sampleTokens;
  const session = await openSession(decoderLayerGraph(layer, width), runtime);
  try {
    return await step(job, `comparing layer ${layer.index}`, layerDeadlineSeconds, () =>
      session.run({
        ...inputs.feeds(layer, sampleTokens, k),
        [layerNames.hidden]: { type: 'float32', data: hidden, shape: [1, sampleTokens, width] },
      }),
    );
  } finally {
    await session.dispose();
  }
}

function larger(worst: Deviation, expected: Float32Array, found: Float32Array, layer: number): Deviation {
  let difference = 0;
  let norm = 0;
  for (const [at, value] of expected.entries()) {
    difference += (found[at]! - value) ** 2;
    norm += value ** 2;
  }
  const relative = difference === 0 ? 0 : Math.sqrt(difference / norm);
  // NaN is larger than anything.
  return relative <= worst.relative ? worst : { relative, layer };
}
