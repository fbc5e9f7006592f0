import { SeededRandom } from '../numeric/seededRandom';
import { DecoderSession, type DecoderLogits } from '../runtime/decoderSession';
import type { RuntimeOptions } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import { median } from './spread';

const loadDeadlineSeconds = 1800;
const runDeadlineSeconds = 1800;

/** What is generated to measure speed. */
export interface GenerationLoad {
  /** Sequences that are generated at once. */
  readonly batch: number;
  /** Tokens of each prompt. */
  readonly context: number;
  /** Tokens that are generated after each prompt. */
  readonly tokens: number;
  readonly vocabularySize: number;
}

/** Milliseconds of one round, per variant. */
export interface GenerationRound {
  readonly prefill: number;
  readonly decode: number;
  /** Median of the decode steps: what other programs take from single steps does not show in it. */
  readonly step: number;
}

export interface GenerationSpeed {
  readonly rounds: readonly GenerationRound[];
  /** Largest resident memory of the process while this model was loaded and ran alone, in bytes. */
  readonly peakBytes: number;
}

export interface GenerationRequest {
  /** `model.onnx` of every variant. */
  readonly files: readonly string[];
  /** Bytes of their weights. */
  readonly fileBytes: readonly number[];
  readonly load: GenerationLoad;
  readonly rounds: number;
  readonly runtime: RuntimeOptions;
  readonly job: JobContext;
  /** Whether all variants may be in memory at once; otherwise each round loads them in turn. */
  readonly together: boolean;
}

/**
 * Greedy generation with the cache from random prompts. The variants take turns, step by step where all of them fit into memory, so that
 * drift of the machine meets all of them. A first round warms up and is not counted.
 */
export async function measureGeneration(request: GenerationRequest): Promise<GenerationSpeed[]> {
  const { files, fileBytes, rounds, job } = request;
  const peaks = new Map<number, number>();
  // Memory that a session frees may stay with the process: the smaller model comes first.
  const bySize = [...files.keys()].sort((left, right) => fileBytes[left]! - fileBytes[right]!);
  for (const at of bySize) {
    peaks.set(at, await peakOf(files[at]!, request));
  }
  const sessions = new VariantSessions(request);
  try {
    const measured = files.map(() => [] as GenerationRound[]);
    for (let round = 0; round <= rounds; round += 1) {
      job.progress(round / (rounds + 1), `Generating, round ${round} of ${rounds}`);
      // Every second round begins with the other end.
      const order = round % 2 === 0 ? [...files.keys()] : [...files.keys()].reverse();
      for (const group of request.together ? [order] : order.map((at) => [at])) {
        const texts: Generation[] = [];
        for (const at of group) {
          texts.push(await Generation.begin(await sessions.get(at), request, round));
        }
        // Step by step in turns: what other programs take meets all of them.
        for (let token = 0; token < request.load.tokens; token += 1) {
          for (const text of texts) {
            await text.step();
          }
        }
        if (round > 0) {
          texts.forEach((text, at) => measured[group[at]!]!.push(text.times()));
        }
      }
    }
    return measured.map((each, at) => ({ rounds: each, peakBytes: peaks.get(at)! }));
  } finally {
    await sessions.dispose();
  }
}

/** Open sessions of the variants: all, or only the one that runs. */
class VariantSessions {
  private readonly open = new Map<number, DecoderSession>();

  constructor(private readonly request: GenerationRequest) {}

  async get(variant: number): Promise<DecoderSession> {
    const known = this.open.get(variant);
    if (known !== undefined) {
      return known;
    }
    if (!this.request.together) {
      await this.dispose();
    }
    const session = await openDecoder(this.request.files[variant]!, this.request);
    this.open.set(variant, session);
    return session;
  }

  async dispose(): Promise<void> {
    const sessions = [...this.open.values()];
    this.open.clear();
    for (const session of sessions) {
      await session.dispose();
    }
  }
}

function openDecoder(file: string, { load, runtime, job }: GenerationRequest): Promise<DecoderSession> {
  return step(job, 'loading the exported model', loadDeadlineSeconds, () =>
    DecoderSession.open(file, load.batch, runtime),
  );
}

async function peakOf(file: string, request: GenerationRequest): Promise<number> {
  const session = await openDecoder(file, request);
  try {
    const text = await Generation.begin(session, request, 0);
    let peak = process.memoryUsage.rss();
    for (let token = 0; token < request.load.tokens; token += 1) {
      await text.step();
      peak = Math.max(peak, process.memoryUsage.rss());
    }
    return peak;
  } finally {
    await session.dispose();
  }
}

/** One greedy generation that goes on when it is asked to, and keeps its times. */
class Generation {
  private readonly steps: number[] = [];

  private constructor(
    private readonly session: DecoderSession,
    private readonly request: GenerationRequest,
    private readonly prefill: number,
    private next: BigInt64Array,
  ) {}

  /** Runs a random prompt. */
  static async begin(session: DecoderSession, request: GenerationRequest, seed: number): Promise<Generation> {
    const { batch, context, vocabularySize } = request.load;
    session.reset();
    const random = new SeededRandom(seed);
    const prompt = BigInt64Array.from({ length: batch * context }, () =>
      BigInt(Math.min(vocabularySize - 1, Math.floor(random.uniform() * vocabularySize))),
    );
    return step(request.job, 'prefill', runDeadlineSeconds, async () => {
      const start = performance.now();
      const next = bestTokens(await session.append(prompt), batch);
      return new Generation(session, request, performance.now() - start, next);
    });
  }

  /** Generates one token of every sequence. */
  async step(): Promise<void> {
    await step(this.request.job, 'decode', runDeadlineSeconds, async () => {
      const start = performance.now();
      this.next = bestTokens(await this.session.append(this.next), this.request.load.batch);
      this.steps.push(performance.now() - start);
    });
  }

  times(): GenerationRound {
    const decode = this.steps.reduce((sum, milliseconds) => sum + milliseconds, 0);
    return { prefill: this.prefill, decode, step: median(this.steps) };
  }
}

/** The most likely next token of every sequence. */
export function bestTokens({ values, time, vocabulary }: DecoderLogits, batch: number): BigInt64Array {
  return BigInt64Array.from({ length: batch }, (_, row) => {
    const start = ((row + 1) * time - 1) * vocabulary;
    let best = 0;
    for (let id = 1; id < vocabulary; id += 1) {
      if (values[start + id]! > values[start + best]!) {
        best = id;
      }
    }
    return BigInt(best);
  });
}
