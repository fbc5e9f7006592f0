import type { TensorEntry } from '../checkpoint/types';
import { specTensors } from '../families/specTensors';
import type { MoeBlockSpec } from '../families/specification';
import { LikeLayers } from '../graph/gpu/likeLayers';
import { sensitivityGraph, sensitivityNames } from '../graph/sensitivityGraph';
import type { LayerSensitivity } from '../protocol/sensitivity';
import { openGraph, type GraphSource } from '../runtime/openGraph';
import { floats, type Feeds, type RuntimeOptions, type RuntimeSession } from '../runtime/session';
import { WeightStream } from '../runtime/weightStream';
import { step, type JobContext } from './jobContext';
import { explainNonFinite } from './nonFinite';
import type { ProbeBatches } from './probeInputs';
import { mostResidentBytes, ResidentProbes } from './residentProbes';

/**
 * Bytes of expert outputs `[tokens, k0, hidden]` that one step may hold. On the processor this bounds the engine's own
 * memory; a GPU converts the weights anew in every run, so it gets more at once, as far as its memory allows.
 */
const outputBytesPerStep = { processor: 2 ** 27, device: 2 ** 30 };

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
  const build: GraphSource = (target) => sensitivityGraph(block, target);
  const session = await openGraph(build, runtime, { batched: [sensitivityNames.x], block });
  return measureWith(session, block, probes, runtime, job);
}

/**
 * {@link measureSensitivity} for layer after layer: the weights of the next are read while one is measured, and inputs that all layers
 * share are loaded once. Dispose it.
 */
export class SensitivityMeter {
  private readonly stream: WeightStream | undefined;
  private readonly graphs = new Map<
    MoeBlockSpec,
    { readonly build: GraphSource; readonly probes: TensorEntry | undefined }
  >();
  private readonly likeLayers = new LikeLayers();
  /** The first inputs that can be loaded once, and what they were written to; without the latter they are fed. */
  private shared: { readonly of: ProbeBatches; readonly resident: ResidentProbes | undefined } | undefined;

  /** @param blocks those that will be measured */
  constructor(
    blocks: readonly MoeBlockSpec[],
    private readonly runtime: RuntimeOptions,
    private readonly job: JobContext,
  ) {
    const served = blocks.length > 1 && blocks.every((block) => WeightStream.serves(runtime, specTensors(block)));
    this.stream = served ? new WeightStream(runtime) : undefined;
  }

  /** @param next the block that is measured afterwards */
  async measure(block: MoeBlockSpec, probes: ProbeBatches, next: MoeBlockSpec | undefined): Promise<LayerSensitivity> {
    const { stream, runtime, job } = this;
    const resident = await this.loadOnce(probes, block.hiddenSize);
    const batched = [resident === undefined ? sensitivityNames.x : sensitivityNames.rows];
    const session = await openGraph(this.graph(block, resident?.entry), runtime, { batched, block, stream });
    if (next !== undefined) {
      stream?.readAhead(this.graph(next, resident?.entry));
    }
    this.graphs.delete(block);
    return measureWith(session, block, probes, runtime, job, resident?.rows);
  }

  async dispose(): Promise<void> {
    await this.stream?.dispose();
    await this.shared?.resident?.dispose();
  }

  /** The inputs that sessions load; undefined where they are fed. */
  private async loadOnce(probes: ProbeBatches, width: number): Promise<ResidentProbes | undefined> {
    const { stream, runtime, job } = this;
    // A device that is short of memory has none for what only saves time.
    const short = runtime.deviceMemoryBytes !== undefined || (runtime.journal?.expertBytes ?? Infinity) < Infinity;
    if (stream === undefined || short) {
      return undefined;
    }
    if (this.shared === undefined) {
      const values = probes.whole?.();
      if (values !== undefined && values.byteLength <= mostResidentBytes) {
        const resident = await ResidentProbes.write(values, width).catch((error: unknown) => {
          job.log('warn', `Inputs are copied to the device for every layer: ${String(error)}`);
          return undefined;
        });
        this.shared = { of: probes, resident };
      }
    }
    return this.shared?.of === probes ? this.shared.resident : undefined;
  }

  private graph(block: MoeBlockSpec, probes: TensorEntry | undefined): GraphSource {
    const known = this.graphs.get(block);
    if (known !== undefined && known.probes === probes) {
      return known.build;
    }
    const build: GraphSource = (target) =>
      target.fed === undefined
        ? sensitivityGraph(block, target, probes)
        : this.likeLayers.graph([{ ...block, layer: undefined }, probes?.file], target.fed, (fed) =>
            sensitivityGraph(block, { ...target, fed }, probes),
          );
    this.graphs.set(block, { build, probes });
    return build;
  }
}

/** @param rows numbers of all inputs, where the session has them loaded */
async function measureWith(
  session: RuntimeSession,
  block: MoeBlockSpec,
  probes: ProbeBatches,
  runtime: RuntimeOptions,
  job: JobContext,
  rows?: BigInt64Array,
): Promise<LayerSensitivity> {
  const k0 = block.activeExperts;
  const width = block.hiddenSize;
  const tokensPerStep = Math.max(
    1,
    Math.floor(outputBytesPerStep[runtime.provider === 'cpu' ? 'processor' : 'device'] / (4 * k0 * width)),
  );
  try {
    const batches: BatchSums[] = [];
    let first = 0;
    for (const { data, parts } of probeSteps(probes, width, tokensPerStep)) {
      const tokens = data.length / width;
      const feeds: Feeds =
        rows === undefined
          ? { [sensitivityNames.x]: { type: 'float32', data, shape: [tokens, width] } }
          : {
              [sensitivityNames.rows]: { type: 'int64', data: rows.subarray(first, first + tokens), shape: [tokens] },
            };
      first += tokens;
      const results = await step(job, `sensitivity of layer ${block.layer}`, stepDeadlineSeconds, () =>
        session.run(feeds),
      );
      const norms = floats(results, sensitivityNames.squaredNorm);
      const damages = k0 > 1 ? floats(results, sensitivityNames.squaredDamage) : new Float32Array(0);
      let row = 0;
      for (const { batch, tokens } of parts) {
        const sums = (batches[batch] ??= { damage: Array<number>(k0).fill(0), norm: 0, tokens: 0 });
        for (const end = row + tokens; row < end; row += 1) {
          sums.norm += norms[row]!;
          for (let at = 0; at < k0 - 1; at += 1) {
            sums.damage[at]! += damages[row * (k0 - 1) + at]!;
          }
        }
        sums.tokens += tokens;
      }
    }
    if (!batches.every(({ norm, damage }) => Number.isFinite(norm) && damage.every(Number.isFinite))) {
      await explainNonFinite(block, block.layer);
    }
    return summarise(block.layer, k0, batches);
  } finally {
    await session.dispose();
  }
}

/** Sums over the tokens of one batch: squared damage by k-1, squared norm. */
interface BatchSums {
  readonly damage: number[];
  norm: number;
  tokens: number;
}

/** Input of one run, and how many of its tokens belong to which batch, in order. */
interface ProbeStep {
  readonly data: Float32Array;
  readonly parts: readonly { readonly batch: number; readonly tokens: number }[];
}

/** Cuts and joins batches to runs of up to `most` tokens: weights are converted once a run, so few large runs are faster. */
function* probeSteps(probes: ProbeBatches, width: number, most: number): Generator<ProbeStep> {
  let pending: { batch: number; data: Float32Array }[] = [];
  let held = 0;
  const flush = (): ProbeStep => {
    const parts = pending.map(({ batch, data }) => ({ batch, tokens: data.length / width }));
    const data = joined(
      pending.map((part) => part.data),
      held * width,
    );
    pending = [];
    held = 0;
    return { data, parts };
  };
  for (let batch = 0; batch < probes.count; batch += 1) {
    const x = probes.batch(batch);
    const tokens = x.length / width;
    for (let start = 0; start < tokens;) {
      const end = Math.min(tokens, start + most - held);
      pending.push({ batch, data: x.subarray(start * width, end * width) });
      held += end - start;
      start = end;
      if (held === most) {
        yield flush();
      }
    }
  }
  if (held > 0) {
    yield flush();
  }
}

/** Arrays as one; those that lie one after the other in memory are not copied. */
function joined(parts: readonly Float32Array[], length: number): Float32Array {
  const first = parts[0]!;
  let end = first.byteOffset;
  const neighbours = parts.every(({ buffer, byteOffset, byteLength }) => {
    const follows = buffer === first.buffer && byteOffset === end;
    end += byteLength;
    return follows;
  });
  if (neighbours) {
    return new Float32Array(first.buffer, first.byteOffset, length);
  }
  const data = new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

function summarise(index: number, k0: number, batches: readonly BatchSums[]): LayerSensitivity {
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
