import { specTensors } from '../families/specTensors';
import type { LinearSpec, ModelSpec, MoeBlockSpec, SharedExpertSpec } from '../families/specification';
import { step } from '../measure/jobContext';
import { codeBits } from '../methods/quantize/quantizedMatrix';
import { TunerError } from '../protocol/errors';
import type { Plan, PlanQuantize } from '../protocol/plan';
import { KeptRoundings, roundedWhenUsed } from './rounding/roundings';
import type { TransformContext } from './stage';

/** Longest time one matrix may take, in seconds. */
const matrixDeadlineSeconds = 600;

/** Changes a decoder; layers that nothing changes keep their identity. */
export type ChangeDecoder = (original: ModelSpec) => ModelSpec;

/** How linear maps outside the routed experts are rounded. */
type RoundLinear = (linear: LinearSpec, place: string) => Promise<LinearSpec>;

/**
 * Rounding to nearest with the bits that a plan gives everything but the routed experts; undefined where it gives none.
 * @param kept takes codes that graphs are to read
 */
function otherRounding({ quantize }: Plan, context: TransformContext, kept: KeptRoundings): RoundLinear | undefined {
  const bits = codeBits.find((known) => known === quantize?.others);
  if (quantize?.scope !== 'all' || bits === undefined) {
    return undefined;
  }
  const { group, symmetric } = quantize;
  return async (linear, place) => {
    const { inputSize: columns, outputSize: rows } = linear;
    assertFits(linear, place, quantize, context.planFile);
    return step(context.job, `rounding of ${place}`, matrixDeadlineSeconds, async () => {
      const rounding = { method: 'rtn', source: linear, bits, symmetric } as const;
      const size = { name: place, rows, columns, group };
      const weight = context.roundWhenUsed === true ? roundedWhenUsed(rounding, size) : await kept.keep(rounding, size);
      return { ...linear, weight, orientation: 'output-major' };
    });
  };
}

function assertFits(
  { inputSize: columns }: LinearSpec,
  place: string,
  { group, others }: PlanQuantize,
  file: string,
): void {
  if (columns % group !== 0 || (columns * others!) % 8 !== 0) {
    throw new TunerError(
      'malformedPlan',
      `A group of ${group} weights does not divide the ${columns} inputs of ${place}.`,
      {
        file,
        place: 'quantize.group',
        wayOut: 'Choose a smaller group, or the scope "experts".',
      },
    );
  }
}

/**
 * Refuses groups that do not divide the rows of shared experts, where the plan rounds these.
 * @throws TunerError `malformedPlan`
 */
export function assertSharedGroups(blocks: readonly MoeBlockSpec[], { quantize }: Plan, planFile: string): void {
  if (quantize?.scope !== 'all' || (quantize.others ?? 16) === 16) {
    return;
  }
  for (const { layer, shared, beside } of blocks) {
    for (const linear of linearsIn([shared?.network, beside?.network])) {
      assertFits(linear, `the shared expert of layer ${layer}`, quantize, planFile);
    }
  }
}

/**
 * A block with its shared experts rounded to nearest, where the plan says so; their gates stay. Smoothed ones are rounded as they are.
 * @throws TunerError `malformedPlan` for rows that the group does not divide, `writeFailed`, `cancelled`
 */
export async function roundShared(block: MoeBlockSpec, plan: Plan, context: TransformContext): Promise<MoeBlockSpec> {
  const kept = new KeptRoundings(context.scratch);
  try {
    const rounded = await withRoundedShared(block, otherRounding(plan, context, kept));
    await kept.settle();
    return rounded;
  } finally {
    await kept.dispose();
  }
}

async function withRoundedShared(block: MoeBlockSpec, round: RoundLinear | undefined): Promise<MoeBlockSpec> {
  if (round === undefined || (block.shared === undefined && block.beside === undefined)) {
    return block;
  }
  const rounded = async (shared: SharedExpertSpec): Promise<SharedExpertSpec> => {
    const network = await mapLinears(shared.network, `the shared expert of layer ${block.layer}`, round);
    return { ...shared, network: network as SharedExpertSpec['network'] };
  };
  return {
    ...block,
    ...(block.shared === undefined ? {} : { shared: await rounded(block.shared) }),
    ...(block.beside === undefined ? {} : { beside: await rounded(block.beside) }),
  };
}

/**
 * Rounds the linear maps of token mixers and dense layers to nearest, where the plan says so. Routers, norms, embeddings and heads stay
 * as they are; shared experts belong to their blocks ({@link roundShared}).
 * @throws TunerError `malformedPlan` for rows that the group does not divide, `writeFailed`, `cancelled`
 */
export async function roundOthers(model: ModelSpec, plan: Plan, context: TransformContext): Promise<ChangeDecoder> {
  const parts = new Map<number, { mixer: unknown; network: unknown }>();
  const kept = new KeptRoundings(context.scratch);
  try {
    const round = otherRounding(plan, context, kept);
    if (round === undefined) {
      return (original) => original;
    }
    for (const layer of model.layers) {
      const { feedForward, mixer, index } = layer;
      const dense = feedForward.kind === 'dense' ? feedForward.network : undefined;
      parts.set(index, {
        mixer: await mapLinears(mixer, `layer ${index}`, round),
        network: await mapLinears(dense, `layer ${index}`, round),
      });
    }
    await kept.settle();
  } finally {
    await kept.dispose();
  }
  return (original) => ({
    ...original,
    layers: original.layers.map((layer) => {
      const { mixer, network } = parts.get(layer.index)! as {
        mixer: typeof layer.mixer;
        network: Extract<typeof layer.feedForward, { kind: 'dense' }>['network'];
      };
      const feedForward = layer.feedForward.kind === 'dense' ? { ...layer.feedForward, network } : layer.feedForward;
      return { ...layer, mixer, feedForward };
    }),
  });
}

/** The same structure with every linear map in it replaced. */
async function mapLinears(value: unknown, place: string, change: RoundLinear): Promise<unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return value;
  }
  if (isLinear(value)) {
    return change(value, place);
  }
  const entries: [string, unknown][] = [];
  for (const [key, part] of Object.entries(value)) {
    entries.push([key, await mapLinears(part, `${place}.${key}`, change)]);
  }
  return Object.fromEntries(entries);
}

function isLinear(value: object): value is LinearSpec {
  return 'weight' in value && 'orientation' in value && 'inputSize' in value;
}

/** Weights of the linear maps outside the routed experts that are rounded, and the bytes they take now. */
export function otherWeights(model: ModelSpec): { readonly weights: number; readonly bytes: number } {
  const linears = model.layers.flatMap(({ mixer, feedForward }) =>
    linearsIn([
      mixer,
      feedForward.kind === 'dense'
        ? feedForward.network
        : [feedForward.block.shared?.network, feedForward.block.beside?.network],
    ]),
  );
  return {
    weights: linears.reduce((sum, { inputSize, outputSize }) => sum + inputSize * outputSize, 0),
    bytes: linears.flatMap(({ weight }) => specTensors(weight)).reduce((sum, entry) => sum + entry.byteLength, 0),
  };
}

function linearsIn(value: unknown): LinearSpec[] {
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  return isLinear(value) ? [value] : Object.values(value).flatMap(linearsIn);
}
