import { fromFloat32 } from '../../checkpoint/encodeDtype';
import type { Dtype } from '../../checkpoint/types';
import type { TensorToWrite } from '../../checkpoint/writeSafetensors';
import {
  expertSumNames,
  pairSumNames,
  type LayerStatistics,
  type PairSums,
  type TaggedSums,
} from '../../methods/statistics';
import { totalSums } from './layerAccumulator';
import { malformedStatistics, type StatisticsReader } from './statisticsReader';

/** Square matrices of a layer, `[experts, experts]` F64 each. */
const pairNames = [
  ...pairSumNames,
  'logitProducts',
  'probabilityProducts',
] as const satisfies readonly (keyof LayerStatistics)[];

/** Sums over pairs of experts per tag, `[tags, experts, experts]`, have names of their own. */
const taskPairName = (name: string) => `tasks.${name}`;

/** Numbers below zero that rounding leaves where a sum of squares or of distances is zero. */
const roundingSlack = 1e-6;

/** Sums that may be negative: logits have any sign. */
const signedSums: ReadonlySet<string> = new Set(['topLogits', 'chosenLogits', 'chosenMargins']);

/** Prefix of the tensors of a decoder layer. */
export function layerPrefix(index: number): string {
  return `layers.${index}.`;
}

/** One layer as tensors under `layers.I.`; the file format is described in docs/statistics-file.md. */
export function layerTensors(layer: LayerStatistics): TensorToWrite[] {
  const { experts, hiddenSize, activeExperts, byTag, pairsByTag, sample, dense } = layer;
  const tensor = (name: string, dtype: Dtype, shape: readonly number[], data: Uint8Array): TensorToWrite => ({
    name: layerPrefix(layer.index) + name,
    dtype,
    shape,
    data,
  });
  const doubles = (name: string, shape: readonly number[], values: Float64Array) =>
    tensor(name, 'F64', shape, bytesOf(values));
  return [
    doubles(
      'tokens',
      [byTag.length],
      Float64Array.from(byTag, ({ tokens }) => tokens),
    ),
    ...expertSumNames.map((name) =>
      doubles(name, [byTag.length, experts], Float64Array.from(byTag.flatMap((sums) => [...sums[name]]))),
    ),
    ...pairNames.map((name) => doubles(name, [experts, experts], layer[name])),
    ...(pairsByTag === undefined
      ? []
      : pairSumNames.map((name) =>
          doubles(taskPairName(name), [byTag.length, experts, experts], joined(pairsByTag.map((sums) => sums[name]))),
        )),
    doubles('largestOutputs', [experts], layer.largestOutputs),
    doubles('topMasses', [activeExperts], layer.topMasses),
    doubles('outputSquares', [1], Float64Array.of(layer.outputSquares)),
    tensor('outputSums', 'F32', [experts, hiddenSize], bytesOf(layer.outputSums)),
    tensor('sample.inputs', 'BF16', [sample.tokens, hiddenSize], fromFloat32('BF16', sample.inputs)),
    tensor('sample.tags', 'U16', [sample.tokens], bytesOf(sample.tags)),
    ...(dense === undefined
      ? []
      : [
          tensor('dense.meanOutputs', 'F32', [experts, hiddenSize], bytesOf(dense.meanOutputs)),
          doubles('dense.gram', [experts, experts], dense.gram),
          doubles('dense.cosines', [experts, experts], dense.cosines),
        ]),
  ];
}

/**
 * Reads back what {@link layerTensors} made, and checks what any such layer satisfies.
 * @throws TunerError `malformedStatistics` naming file and tensor
 */
export async function readLayerTensors(
  reader: StatisticsReader,
  index: number,
  tags: readonly string[],
): Promise<LayerStatistics> {
  const prefix = layerPrefix(index);
  const refuse = (name: string, message: string) => malformedStatistics(reader.file, prefix + name, message);
  const shape = (name: string, rank: number): readonly number[] => {
    const found = reader.shape(prefix + name);
    if (found?.length !== rank || found.some((size) => size === 0)) {
      throw refuse(name, found === undefined ? 'The tensor is missing.' : 'The tensor has an impossible shape.');
    }
    return found;
  };
  const [experts, hiddenSize] = shape('outputSums', 2) as [number, number];
  const [activeExperts] = shape('topMasses', 1) as [number];
  const tokens = await reader.doubles(`${prefix}tokens`, [tags.length]);
  const vectors = new Map<string, Float64Array>();
  for (const name of expertSumNames) {
    const values = await reader.doubles(prefix + name, [tags.length, experts]);
    if (!signedSums.has(name) && values.some((value) => value < -roundingSlack)) {
      throw refuse(name, 'A sum is negative.');
    }
    vectors.set(name, values);
  }
  const byTag = tags.map((tag, at): TaggedSums => {
    const part = (name: string) => vectors.get(name)!.slice(at * experts, (at + 1) * experts);
    const sums = Object.fromEntries(expertSumNames.map((name) => [name, part(name)])) as Record<
      (typeof expertSumNames)[number],
      Float64Array
    >;
    return { tag, tokens: tokens[at]!, ...sums };
  });
  byTag.forEach(({ tag, tokens: own, counts }) => {
    const chosen = counts.reduce((sum, count) => sum + count, 0);
    if (!Number.isInteger(own) || counts.some((count) => !Number.isInteger(count)) || chosen !== own * activeExperts) {
      throw refuse('counts', `The counts of "${tag}" are not ${activeExperts} for each of ${own} tokens.`);
    }
  });
  const total = totalSums(byTag, experts);
  const pairs = {} as Record<(typeof pairNames)[number], Float64Array>;
  for (const name of pairNames) {
    pairs[name] = await reader.doubles(prefix + name, [experts, experts]);
  }
  if (total.counts.some((count, expert) => count !== pairs.coactivation[expert * experts + expert])) {
    throw refuse('coactivation', 'The diagonal is not the counts.');
  }
  const pairsByTag =
    reader.shape(prefix + taskPairName('coactivation')) === undefined
      ? undefined
      : await readTaskPairs(reader, prefix, byTag, pairs, experts);
  const [sampled] = shape('sample.tags', 1) as [number];
  const sampleTags = await reader.shorts(`${prefix}sample.tags`, [sampled]);
  if (sampleTags.some((tag) => tag >= tags.length)) {
    throw refuse('sample.tags', `A token has a tag beyond the ${tags.length} there are.`);
  }
  const dense = reader.shape(`${prefix}dense.gram`) !== undefined;
  return {
    index,
    experts,
    activeExperts,
    hiddenSize,
    total,
    byTag,
    largestOutputs: await reader.doubles(`${prefix}largestOutputs`, [experts]),
    outputSums: await reader.floats(`${prefix}outputSums`, 'F32', [experts, hiddenSize]),
    ...pairs,
    pairsByTag,
    topMasses: await reader.doubles(`${prefix}topMasses`, [activeExperts]),
    outputSquares: (await reader.doubles(`${prefix}outputSquares`, [1]))[0]!,
    sample: {
      tokens: sampled,
      inputs: await reader.floats(`${prefix}sample.inputs`, 'BF16', [sampled, hiddenSize]),
      tags: sampleTags,
    },
    dense: dense
      ? {
          tokens: sampled,
          meanOutputs: await reader.floats(`${prefix}dense.meanOutputs`, 'F32', [experts, hiddenSize]),
          gram: await reader.doubles(`${prefix}dense.gram`, [experts, experts]),
          cosines: await reader.doubles(`${prefix}dense.cosines`, [experts, experts]),
        }
      : undefined,
  };
}

/** @throws TunerError `malformedStatistics` where the counts are not those of the tags, or do not add up to those of all texts */
async function readTaskPairs(
  reader: StatisticsReader,
  prefix: string,
  byTag: readonly TaggedSums[],
  total: PairSums,
  experts: number,
): Promise<PairSums[]> {
  const size = experts * experts;
  const matrices = {} as Record<(typeof pairSumNames)[number], Float64Array>;
  for (const name of pairSumNames) {
    matrices[name] = await reader.doubles(prefix + taskPairName(name), [byTag.length, experts, experts]);
  }
  const found = byTag.map((_, tag): PairSums => {
    const part = (values: Float64Array) => values.slice(tag * size, (tag + 1) * size);
    return {
      coactivation: part(matrices.coactivation),
      contributionProducts: part(matrices.contributionProducts),
      contributionGram: part(matrices.contributionGram),
    };
  });
  const fits = byTag.every(({ counts }, tag) =>
    counts.every((count, expert) => count === found[tag]!.coactivation[expert * experts + expert]),
  );
  const addsUp = total.coactivation.every(
    (sum, at) => sum === found.reduce((all, { coactivation }) => all + coactivation[at]!, 0),
  );
  if (!fits || !addsUp) {
    throw malformedStatistics(
      reader.file,
      prefix + taskPairName('coactivation'),
      fits ? 'The tasks do not add up to all texts.' : 'The diagonal is not the counts.',
    );
  }
  return found;
}

function joined(parts: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => {
    all.set(part, at);
    return at + part.length;
  }, 0);
  return all;
}

function bytesOf(values: Float64Array | Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
