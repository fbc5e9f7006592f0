import type { MoeBlockSpec } from '../families/specification';
import { expertBytes } from './deviceMemory';
import { apartNames, expertGroupGraph, groupNames } from '../graph/gpu/expertsApart';
import type { GraphTarget } from '../graph/graphTarget';
import { TunerError } from '../protocol/errors';
import {
  floats,
  integers,
  type Feeds,
  type OpenSession,
  type Results,
  type RuntimeOptions,
  type RuntimeSession,
} from './session';

/** A graph whose experts run apart, and how to open sessions for it. */
export interface SplitRequest {
  readonly build: (target: GraphTarget) => Uint8Array;
  readonly target: GraphTarget;
  /** The block whose experts the graph runs. */
  readonly block: MoeBlockSpec;
  readonly runtime: RuntimeOptions;
  readonly open: OpenSession;
}

/**
 * A graph whose experts do not fit into the memory of the device together: a first session chooses experts, groups of experts run
 * one after the other, and a last session goes on from their outputs. Every expert output is computed once and by the same operators,
 * so the numbers are those of the whole graph. Groups that do not fit are halved. Dispose it.
 */
export class SplitExperts implements RuntimeSession {
  private constructor(
    private readonly request: SplitRequest,
    private readonly choosing: RuntimeSession,
    private readonly combining: RuntimeSession,
    /** Experts of one group. */
    private groupSize: number,
  ) {
    this.tell();
  }

  /**
   * @param groupSize experts that are tried at once
   * @throws TunerError `outOfMemory` where the rest of the graph does not fit either
   */
  static async open(request: SplitRequest, groupSize: number): Promise<SplitExperts> {
    const { build, target, open, runtime } = request;
    const choosing = await open(build({ ...target, experts: 'chosen' }), runtime);
    try {
      const combining = await open(build({ ...target, experts: 'given' }), runtime);
      return new SplitExperts(request, choosing, combining, groupSize);
    } catch (error) {
      await choosing.dispose();
      throw error;
    }
  }

  get inputs(): readonly string[] {
    return this.combining.inputs.filter((name) => name !== apartNames.outputs);
  }

  get outputs(): readonly string[] {
    return this.combining.outputs;
  }

  async run(feeds: Feeds, outputs?: readonly string[]): Promise<Results> {
    const known = this.choosing.inputs;
    const choice = await this.choosing.run(
      Object.fromEntries(Object.entries(feeds).filter(([name]) => known.includes(name))),
    );
    const experts = choice[apartNames.experts]!;
    const [tokens, ranks] = experts.shape as [number, number];
    const width = this.request.block.hiddenSize;
    const values = new Float32Array(tokens * ranks * width);
    const slots = slotsByExpert(integers(choice, apartNames.experts), this.request.block.experts.length);
    for (let first = 0; first < slots.length;) {
      const count = Math.min(this.groupSize, slots.length - first);
      try {
        await this.runGroup(first, slots.slice(first, first + count), choice, ranks, values);
        first += count;
      } catch (error) {
        if (!TunerError.is(error, 'outOfMemory') || count === 1) {
          throw error;
        }
        this.groupSize = Math.ceil(count / 2);
        this.tell();
      }
    }
    const given = { type: 'float32', data: values, shape: [tokens, ranks, width] } as const;
    return this.combining.run({ ...feeds, [apartNames.outputs]: given }, outputs);
  }

  async dispose(): Promise<void> {
    await this.choosing.dispose();
    await this.combining.dispose();
  }

  /** Runs some experts on the rows that chose them, and puts their outputs into their slots of `values`. */
  private async runGroup(
    first: number,
    slots: readonly (readonly number[])[],
    choice: Results,
    ranks: number,
    values: Float32Array,
  ): Promise<void> {
    const { block, target, runtime, open } = this.request;
    const chosen = slots.flat();
    if (chosen.length === 0) {
      return;
    }
    const width = block.hiddenSize;
    const input = floats(choice, apartNames.input);
    const gates = choice[apartNames.gates] === undefined ? undefined : floats(choice, apartNames.gates);
    // Empty products are refused by some providers: an expert without rows gets one of zeros.
    const places = slots.flatMap((own): readonly (number | undefined)[] => (own.length === 0 ? [undefined] : own));
    const rows = new Float32Array(places.length * width);
    places.forEach((slot, row) => {
      if (slot === undefined) {
        return;
      }
      const token = Math.floor(slot / ranks);
      const target = rows.subarray(row * width, (row + 1) * width);
      target.set(input.subarray(token * width, (token + 1) * width));
      if (gates !== undefined) {
        target.forEach((value, at) => (target[at] = value * gates[slot]!));
      }
    });
    const group = { ...block, experts: block.experts.slice(first, first + slots.length) };
    const session = await open(expertGroupGraph(group, target), runtime);
    try {
      const counts = BigInt64Array.from(slots, (own) => BigInt(Math.max(1, own.length)));
      const results = await session.run({
        [groupNames.rows]: { type: 'float32', data: rows, shape: [places.length, width] },
        [groupNames.counts]: { type: 'int64', data: counts, shape: [slots.length] },
      });
      const outputs = floats(results, groupNames.outputs);
      places.forEach((slot, row) => {
        if (slot !== undefined) {
          values.set(outputs.subarray(row * width, (row + 1) * width), slot * width);
        }
      });
    } finally {
      await session.dispose();
    }
  }

  private tell(): void {
    const { block, runtime } = this.request;
    const groups = Math.ceil(block.experts.length / this.groupSize);
    runtime.journal?.splitExperts(
      `The experts of a layer do not fit into the memory of the device (${runtime.provider}) together; they run in ${groups} groups, one after the other.`,
      expertBytes(block) / groups,
    );
  }
}

/** For every expert the slots (token · ranks + rank) that chose it, ascending. */
function slotsByExpert(experts: BigInt64Array, count: number): number[][] {
  const slots = Array.from({ length: count }, (): number[] => []);
  experts.forEach((expert, slot) => slots[Number(expert)]!.push(slot));
  return slots;
}
