import { isJsonObject, parseJson } from '../checkpoint/jsonText';
import { readSafetensorsHeader } from '../checkpoint/safetensorsHeader';
import { readTextFile } from '../checkpoint/textFile';
import { dtypeBytes, type TensorEntry } from '../checkpoint/types';
import { buildHeader } from '../checkpoint/writeSafetensors';
import { byteLengthOf, isUntouched, type RewrittenTensor } from '../transform/tensorRewrite';
import type { ArtefactFile, CopiedFile, StreamedFile, TextFile } from './artefactFiles';
import { indexName } from './checkpointFiles';
import { streamWeights } from './streamWeights';

/**
 * The files of a changed checkpoint: weight files that nothing changes are copies, others are put together anew with their
 * tensors in the same files, files that lose all tensors go, and the index is generated.
 * @param files of the original checkpoint, as `checkpointFiles` gives them
 * @param tensors every tensor of the changed checkpoint
 * @param originals every tensor of the original one
 * @throws TunerError `malformedSafetensors`, `malformedIndex`, `fileNotFound`
 */
export async function rewrittenFiles(
  files: readonly CopiedFile[],
  tensors: readonly RewrittenTensor[],
  originals: readonly TensorEntry[],
): Promise<ArtefactFile[]> {
  const inFile = groupBy(tensors, ({ original }) => original.file);
  const wereInFile = groupBy(originals, ({ file }) => file);
  const weights: ArtefactFile[] = [];
  const weightMap = new Map<string, string>();
  for (const file of files.filter(({ shares }) => shares)) {
    const inside = inFile.get(file.source) ?? [];
    const untouched = inside.length === wereInFile.get(file.source)?.length && inside.every(isUntouched);
    if (inside.length > 0) {
      weights.push(untouched ? file : await weightsFile(file, inside));
    }
    inside.forEach(({ name }) => weightMap.set(name, file.name));
  }
  const others: ArtefactFile[] = [];
  for (const file of files.filter(({ shares }) => !shares)) {
    others.push(file.name === indexName ? await indexFile(file, tensors, weightMap, originals) : file);
  }
  return [...others, ...weights];
}

/** Wide elements first, as the reference writer has them, so that every tensor starts aligned; else in the old order. */
async function weightsFile({ name, source }: CopiedFile, tensors: readonly RewrittenTensor[]): Promise<StreamedFile> {
  const { metadata } = await readSafetensorsHeader(source);
  const sorted = [...tensors].sort(
    (left, right) =>
      dtypeBytes[right.dtype] - dtypeBytes[left.dtype] || left.original.byteOffset - right.original.byteOffset,
  );
  const header = buildHeader(sorted, metadata, name);
  const pieces = sorted.flatMap((tensor) => tensor.pieces);
  return {
    name,
    bytes: header.byteLength + byteLengthOf(pieces),
    stream: (handle, written) => streamWeights(header, pieces, handle, written),
  };
}

/** The index of the written files; facts of the original about its own size are replaced. */
async function indexFile(
  { name, source }: CopiedFile,
  tensors: readonly RewrittenTensor[],
  weightMap: ReadonlyMap<string, string>,
  originals: readonly TensorEntry[],
): Promise<TextFile> {
  const content = parseJson(await readTextFile(source, 'malformedIndex'), source, 'malformedIndex');
  const stated = isJsonObject(content) && isJsonObject(content.metadata) ? content.metadata : {};
  const { total_parameters: parameters, ...metadata } = stated;
  // Packed codes hold two parameters an element: only a count of elements can be renewed.
  const countsElements = parameters === elementsOf(originals);
  const sorted = [...weightMap].sort(([left], [right]) => (left < right ? -1 : 1));
  const index = {
    metadata: {
      ...metadata,
      ...(countsElements ? { total_parameters: elementsOf(tensors) } : {}),
      total_size: tensors.reduce((sum, { pieces }) => sum + byteLengthOf(pieces), 0),
    },
    weight_map: Object.fromEntries(sorted),
  };
  return { name, text: `${JSON.stringify(index, undefined, 2)}\n` };
}

function elementsOf(tensors: readonly { readonly shape: readonly number[] }[]): number {
  return tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
}

function groupBy<Item>(items: readonly Item[], key: (item: Item) => string): ReadonlyMap<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(key(item)) ?? [];
    group.push(item);
    groups.set(key(item), group);
  }
  return groups;
}
