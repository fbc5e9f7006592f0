import type { ModelSpec } from '../families/specification';
import { decoderGraph } from '../graph/export/decoderGraph';
import { decoderNames } from '../graph/export/sequenceValues';
import { StackedTensors } from '../graph/export/stackedTensors';
import { SeededRandom } from '../numeric/seededRandom';
import { DecoderSession, type DecoderLogits } from '../runtime/decoderSession';
import { floats, integers, type RuntimeOptions } from '../runtime/session';
import { lastLogits } from './generationCheck';
import { step, type JobContext } from './jobContext';
import { allFinite, explainNonFinite } from './nonFinite';
import { chooseToken, type TokenChoice } from './tokenChoice';

/** Longest time that opening the model, and one run, may take in seconds: weights may come from a slow disk. */
const loadDeadlineSeconds = 600;
const runDeadlineSeconds = 1800;

/** Experts of one MoE layer in one run: places in the layer and their gates, best first. */
export interface LayerRouting {
  readonly experts: readonly number[];
  readonly gates: readonly number[];
}

/** A token and how the run that chose it was routed, per MoE layer in order. */
export interface RoutedToken extends TokenChoice {
  readonly routing: readonly LayerRouting[];
}

export interface RoutedGenerationOptions {
  readonly model: ModelSpec;
  /** Active experts per MoE layer in order. */
  readonly activeExperts: readonly number[];
  readonly prompt: readonly number[];
  readonly temperature: number;
  readonly seed: number;
  readonly runtime: RuntimeOptions;
  readonly job: JobContext;
}

/** Generation of one sequence that tells which experts were chosen. Dispose it. */
export class RoutedGeneration {
  private readonly random: SeededRandom;
  private readonly moeLayers: readonly number[];
  private next: readonly number[];

  private constructor(
    private readonly session: DecoderSession,
    private readonly options: RoutedGenerationOptions,
  ) {
    this.random = new SeededRandom(options.seed);
    this.moeLayers = options.model.layers.flatMap(({ feedForward, index }) =>
      feedForward.kind === 'moe' ? [index] : [],
    );
    this.next = options.prompt;
  }

  /** @throws TunerError `runtimeFailed`, `cancelled` */
  static async open(options: RoutedGenerationOptions): Promise<RoutedGeneration> {
    const { model, activeExperts, runtime, job } = options;
    const graph = decoderGraph(model, { activeExperts, stacks: new StackedTensors(), showRouting: true });
    const session = await step(job, 'opening the model', loadDeadlineSeconds, () =>
      DecoderSession.openMapped(graph.model, 1, runtime),
    );
    return new RoutedGeneration(session, options);
  }

  /**
   * The next token: the first call runs the whole prompt, the others one token each.
   * @throws TunerError `runtimeFailed`, `nonFiniteWeights`, `cancelled`
   */
  async token(): Promise<RoutedToken> {
    const { job, temperature, model } = this.options;
    const results = await step(job, 'generating', runDeadlineSeconds, () =>
      this.session.append(BigInt64Array.from(this.next, BigInt)),
    );
    const logits = lastLogits(results);
    if (!allFinite(logits)) {
      await explainNonFinite(model, model.layers.length);
    }
    const choice = chooseToken(logits, temperature, this.random);
    this.next = [choice.id];
    return { ...choice, routing: this.moeLayers.map((layer) => lastRouting(results, layer)) };
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }
}

/** Routing of the last token of a run. */
function lastRouting({ others, time }: DecoderLogits, layer: number): LayerRouting {
  const experts = integers(others, decoderNames.routedExperts(layer));
  const gates = floats(others, decoderNames.routedGates(layer));
  const active = experts.length / time;
  return {
    experts: Array.from(experts.subarray(-active), Number),
    gates: Array.from(gates.subarray(-active)),
  };
}
