import * as z from 'zod';
import { writeSafetensors } from '../../checkpoint/writeSafetensors';
import type { CalibrationStatistics } from '../../methods/statistics';
import { layerTensors, readLayerTensors } from './layerTensors';
import { malformedStatistics, StatisticsReader } from './statisticsReader';

/** Metadata key of a statistics file, and the version of its layout. */
const metadataKey = 'moe-tuner-calibration';
const fileVersion = 1;

/** What a statistics file says about itself, as JSON in its metadata. */
const descriptionSchema = z.object({
  engine: z.string(),
  fingerprint: z.string().min(1),
  family: z.string().min(1),
  tokens: z.number().int().positive(),
  seed: z.number().int(),
  /** Tokens of a window. */
  length: z.number().int().positive(),
  tags: z.array(z.string()).min(1),
  /** Texts in order: what they are called, a hash of their token ids, and how many tokens they gave. */
  texts: z.array(z.object({ name: z.string(), sha256: z.string(), tokens: z.number().int() })),
  /** Decoder layers with experts, ascending. */
  layers: z.array(z.number().int().min(0)).min(1),
});

export type StatisticsDescription = z.infer<typeof descriptionSchema>;

export interface StatisticsFile {
  readonly statistics: CalibrationStatistics;
  readonly description: StatisticsDescription;
}

/**
 * Writes statistics as a safetensors file, atomically: the same statistics give the same bytes. Layout: docs/statistics-file.md.
 * @throws TunerError `writeFailed`
 */
export async function writeStatistics(file: string, { statistics, description }: StatisticsFile): Promise<void> {
  await writeSafetensors(file, statistics.layers.flatMap(layerTensors), {
    [metadataKey]: JSON.stringify({ version: fileVersion, ...description }),
  });
}

/**
 * Reads a statistics file whole and checks it strictly: every tensor is there, has its shape, is finite, and counts agree.
 * @throws TunerError `fileNotFound`, `malformedSafetensors`, `malformedStatistics` naming file and place
 */
export async function readStatistics(file: string): Promise<StatisticsFile> {
  const reader = await StatisticsReader.open(file);
  const description = readDescription(reader);
  const { fingerprint, family, tokens, seed, tags, layers: indices } = description;
  const layers = [];
  for (const index of indices) {
    const layer = await readLayerTensors(reader, index, tags);
    if (layer.total.tokens !== tokens) {
      throw malformedStatistics(
        file,
        `layers.${index}.tokens`,
        `The layer saw ${layer.total.tokens} tokens, the file says ${tokens}.`,
      );
    }
    layers.push(layer);
  }
  reader.assertAllRead();
  return { statistics: { fingerprint, family, tokens, seed, tags, layers }, description };
}

function readDescription({ file, metadata }: StatisticsReader): StatisticsDescription {
  const text = metadata[metadataKey];
  if (text === undefined) {
    throw malformedStatistics(file, '__metadata__', 'This is no statistics file.');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformedStatistics(file, `__metadata__.${metadataKey}`, 'The description is not valid JSON.');
  }
  const version = z.object({ version: z.number() }).safeParse(value);
  if (version.success && version.data.version !== fileVersion) {
    const message = `The file has version ${version.data.version}; this program reads version ${fileVersion}.`;
    throw malformedStatistics(file, `__metadata__.${metadataKey}.version`, message);
  }
  const parsed = version.success ? descriptionSchema.safeParse(value) : version;
  if (!parsed.success) {
    const place = parsed.error.issues[0]?.path.map(String).join('.') ?? '';
    throw malformedStatistics(file, `__metadata__.${metadataKey}.${place}`, 'The description is not as expected.');
  }
  const description = parsed.data;
  const ascending = description.layers.every((layer, at) => at === 0 || layer > description.layers[at - 1]!);
  if (!ascending || new Set(description.tags).size !== description.tags.length) {
    throw malformedStatistics(file, `__metadata__.${metadataKey}`, 'Layers or tags occur twice.');
  }
  return description;
}
