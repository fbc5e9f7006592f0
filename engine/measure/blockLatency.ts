import type { MoeBlockSpec } from '../families/specification';
import { blockGraph, blockNames } from '../graph/blockGraph';
import { fillStandardNormal } from '../numeric/standardNormal';
import { SeededRandom } from '../numeric/seededRandom';
import { openGraph } from '../runtime/openGraph';
import type { RuntimeOptions, RuntimeSession } from '../runtime/session';
import { step, type JobContext } from './jobContext';

/** Rounds over all layers and k; the median of each cell counts, and rounds are interleaved against drift. */
const timedRounds = 9;
const stepDeadlineSeconds = 300;

/** Open MoE blocks that can be timed. Dispose them. */
export class BlockTimer {
  private constructor(
    private readonly blocks: readonly MoeBlockSpec[],
    private readonly sessions: readonly RuntimeSession[],
    private readonly input: Float32Array,
    private readonly tokens: number,
    private readonly job: JobContext,
  ) {}

  /** @param tokens tokens that go through a block at once */
  static async open(
    blocks: readonly MoeBlockSpec[],
    tokens: number,
    runtime: RuntimeOptions,
    job: JobContext,
  ): Promise<BlockTimer> {
    const sessions: RuntimeSession[] = [];
    try {
      for (const block of blocks) {
        sessions.push(await openGraph((target) => blockGraph(block, target), runtime, { manyRuns: true, block }));
      }
    } catch (error) {
      await Promise.all(sessions.map((session) => session.dispose()));
      throw error;
    }
    const input = new Float32Array(tokens * blocks[0]!.hiddenSize);
    fillStandardNormal(input, new SeededRandom(0));
    return new BlockTimer(blocks, sessions, input, tokens, job);
  }

  /** Median microseconds per layer by k-1. */
  async table(): Promise<number[][]> {
    const samples = this.blocks.map(({ activeExperts }) => Array.from({ length: activeExperts }, () => [] as number[]));
    for (let round = -1; round < timedRounds; round += 1) {
      this.job.progress((round + 1) / (timedRounds + 1), `Timing, round ${round + 1} of ${timedRounds}`);
      for (const [layer, cells] of samples.entries()) {
        for (const [at, cell] of cells.entries()) {
          const microseconds = await this.time(layer, at + 1);
          if (round >= 0) {
            cell.push(microseconds);
          }
        }
      }
    }
    return samples.map((cells) => cells.map(median));
  }

  /** Median microseconds of all layers together, each at its k. */
  async total(allocation: readonly number[]): Promise<number> {
    const totals: number[] = [];
    for (let round = -1; round < timedRounds; round += 1) {
      let sum = 0;
      for (const [layer, k] of allocation.entries()) {
        sum += await this.time(layer, k);
      }
      if (round >= 0) {
        totals.push(sum);
      }
    }
    return median(totals);
  }

  async dispose(): Promise<void> {
    await Promise.all(this.sessions.map((session) => session.dispose()));
  }

  private async time(layer: number, k: number): Promise<number> {
    const { hiddenSize } = this.blocks[layer]!;
    return step(this.job, `timing layer ${this.blocks[layer]!.layer}`, stepDeadlineSeconds, async () => {
      const feeds = {
        [blockNames.x]: { type: 'float32', data: this.input, shape: [this.tokens, hiddenSize] },
        [blockNames.activeExperts]: { type: 'int64', data: BigInt64Array.of(BigInt(k)), shape: [1] },
      } as const;
      const start = performance.now();
      await this.sessions[layer]!.run(feeds);
      return (performance.now() - start) * 1000;
    });
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
