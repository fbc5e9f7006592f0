import type { LinearSpec, ModelSpec, MoeBlockSpec } from '../families/specification';
import { fewPositions } from '../measure/compareModels';
import { KeptRoundings } from '../transform/rounding/roundings';
import { ScratchWeights } from '../transform/scratchWeights';
import type { PlannedModel } from './plannedModel';

/** The parts of a planned model that are run, with codes that graphs can map. */
interface RunnableModel {
  readonly blocks: readonly MoeBlockSpec[];
  /** Absent where only a few blocks are run. */
  readonly decoder: ModelSpec | undefined;
}

/**
 * Runs something on a planned model whose codes may be made when they are used: those of the blocks that `compareModels` runs come into
 * temporary files for as long as it takes.
 * @param decoder of the original checkpoint, where there is one
 */
export async function withKeptRoundings<Result>(
  planned: PlannedModel,
  decoder: ModelSpec | undefined,
  run: (model: RunnableModel) => Promise<Result>,
): Promise<Result> {
  const scratch = new ScratchWeights();
  const kept = new KeptRoundings(scratch);
  try {
    const few = fewPositions(planned.blocks);
    const runnable = new Map<unknown, unknown>();
    const blocks: MoeBlockSpec[] = [];
    for (const [position, block] of planned.blocks.entries()) {
      const used = few === undefined || few.has(position) ? await keepIn(block, kept, new Map()) : block;
      runnable.set(block, used);
      blocks.push(used);
    }
    const whole =
      decoder === undefined || few !== undefined ? undefined : await keepIn(planned.decoder(decoder), kept, runnable);
    await kept.settle();
    return await run({ blocks, decoder: whole });
  } finally {
    await kept.dispose();
    await scratch.dispose();
  }
}

/**
 * The same structure with every weight kept whose codes no file has; parts without such weights keep their identity.
 * @param known parts that are done already
 */
async function keepIn<Part>(part: Part, kept: KeptRoundings, known: ReadonlyMap<unknown, unknown>): Promise<Part> {
  if (typeof part !== 'object' || part === null || part instanceof Map || ArrayBuffer.isView(part)) {
    return part;
  }
  if (known.has(part)) {
    return known.get(part) as Part;
  }
  if (isLinear(part)) {
    return (await keepLinear(part, kept)) as Part;
  }
  const children = Object.entries(part);
  const changed: [string, unknown][] = [];
  for (const [key, child] of children) {
    changed.push([key, await keepIn(child as unknown, kept, known)]);
  }
  if (changed.every(([, child], at) => child === children[at]![1])) {
    return part;
  }
  return (Array.isArray(part) ? changed.map(([, child]) => child) : Object.fromEntries(changed)) as Part;
}

async function keepLinear(linear: LinearSpec, kept: KeptRoundings): Promise<LinearSpec> {
  const { weight } = linear;
  if (weight.storage !== 'block-quantized' || weight.rounding === undefined) {
    return linear;
  }
  const { rows, columns, group, codes, rounding } = weight;
  return { ...linear, weight: await kept.keep(rounding, { name: codes.name, rows, columns, group }) };
}

function isLinear(value: object): value is LinearSpec {
  return 'weight' in value && 'orientation' in value && 'inputSize' in value;
}
