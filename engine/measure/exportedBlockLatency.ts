import { blockNames } from '../graph/blockGraph';
import { fillStandardNormal } from '../numeric/standardNormal';
import { SeededRandom, streamSeed } from '../numeric/seededRandom';
import { openPreparedSession, type PreparedSession } from '../runtime/preparedSession';
import type { RuntimeOptions } from '../runtime/session';
import { step, type JobContext } from './jobContext';
import { median } from './spread';

const stepDeadlineSeconds = 600;

/** A block to time: its graph takes the active experts as an input. */
export interface TimedBlock {
  /** Decoder layer. */
  readonly layer: number;
  readonly hiddenSize: number;
  readonly graph: Uint8Array;
  /** Numbers of active experts from 1 to this one are timed. */
  readonly most: number;
}

/**
 * Median microseconds of MoE blocks in the form of an exported model, `[block][k - 1]`.
 * @param tokens tokens that go through a block at once
 */
export async function timeExportedBlocks(
  blocks: readonly TimedBlock[],
  tokens: number,
  rounds: number,
  runtime: RuntimeOptions,
  job: JobContext,
): Promise<number[][]> {
  const timer = await ExportedBlockTimer.open(blocks, runtime, job);
  try {
    return await timer.table(tokens, rounds);
  } finally {
    await timer.dispose();
  }
}

/**
 * MoE blocks of an exported model, all open at once: they take turns, so that each finds the caches as it does inside a model.
 * Dispose it.
 */
export class ExportedBlockTimer {
  private constructor(
    private readonly blocks: readonly TimedBlock[],
    private readonly sessions: readonly PreparedSession[],
    private readonly job: JobContext,
  ) {}

  static async open(
    blocks: readonly TimedBlock[],
    runtime: RuntimeOptions,
    job: JobContext,
  ): Promise<ExportedBlockTimer> {
    const sessions: PreparedSession[] = [];
    try {
      for (const { graph, layer } of blocks) {
        sessions.push(
          await step(job, `loading the block of layer ${layer}`, stepDeadlineSeconds, () =>
            openPreparedSession(graph, runtime),
          ),
        );
      }
    } catch (error) {
      await Promise.all(sessions.map((session) => session.dispose()));
      throw error;
    }
    return new ExportedBlockTimer(blocks, sessions, job);
  }

  /**
   * Median microseconds, `[block][k - 1]`. Every round goes through the numbers of active experts in another order, with other tokens
   * for each: neither drift of the machine nor experts that are still in a cache favour any of them.
   */
  async table(tokens: number, rounds: number): Promise<number[][]> {
    const { blocks, job } = this;
    const samples = blocks.map(({ most }) => Array.from({ length: most }, () => [] as number[]));
    const deepest = Math.max(...blocks.map(({ most }) => most));
    for (let round = -1; round < rounds; round += 1) {
      job.progress((round + 1) / (rounds + 1), `Timing the layers, round ${round + 1} of ${rounds}`);
      const order = new SeededRandom(round).shuffle(Array.from({ length: deepest }, (_, at) => at + 1));
      // k outside, blocks inside: the weights of a block have left the caches when its turn comes again.
      for (const k of order) {
        for (const [at, block] of blocks.entries()) {
          if (k <= block.most) {
            const microseconds = await timeBlock(this.sessions[at]!, block, k, tokens, round, job);
            if (round >= 0) {
              samples[at]![k - 1]!.push(microseconds);
            }
          }
        }
      }
    }
    return samples.map((cells) => cells.map(median));
  }

  /** Microseconds of all blocks one after the other, each at its k: the sum of their medians, measured in rounds of its own. */
  async total(allocation: readonly number[], tokens: number, rounds: number): Promise<number> {
    const { blocks, sessions, job } = this;
    const samples = blocks.map(() => [] as number[]);
    // Rounds continue after those of the table: other tokens.
    for (let round = -1; round < rounds; round += 1) {
      job.progress((round + 1) / (rounds + 1), `Timing the plan, round ${round + 1} of ${rounds}`);
      for (const [at, block] of blocks.entries()) {
        const seed = round < 0 ? round : rounds + round;
        const microseconds = await timeBlock(sessions[at]!, block, allocation[at]!, tokens, seed, job);
        if (round >= 0) {
          samples[at]!.push(microseconds);
        }
      }
    }
    return samples.reduce((sum, cells) => sum + median(cells), 0);
  }

  async dispose(): Promise<void> {
    await Promise.all(this.sessions.map((session) => session.dispose()));
  }
}

async function timeBlock(
  session: PreparedSession,
  { layer, hiddenSize }: TimedBlock,
  k: number,
  tokens: number,
  round: number,
  job: JobContext,
): Promise<number> {
  const data = new Float32Array(tokens * hiddenSize);
  fillStandardNormal(data, new SeededRandom(streamSeed(streamSeed(round, layer), k)));
  return step(job, `timing layer ${layer}`, stepDeadlineSeconds, async () => {
    const feeds = {
      [blockNames.x]: { type: 'float32', data, shape: [tokens, hiddenSize] },
      [blockNames.activeExperts]: { type: 'int64', data: BigInt64Array.of(BigInt(k)), shape: [1] },
    } as const;
    const start = performance.now();
    await session.run(feeds);
    return (performance.now() - start) * 1000;
  });
}
