import * as z from 'zod';
import { fromFloat32 } from '../../checkpoint/encodeDtype';
import type { Dtype } from '../../checkpoint/types';
import { writeSafetensors, type TensorToWrite } from '../../checkpoint/writeSafetensors';
import type { TaggedSequence } from './batchTokens';
import { layerPrefix } from './layerTensors';
import type { LayerTrace } from './routingTrace';
import { malformedStatistics, StatisticsReader } from './statisticsReader';

const metadataKey = 'moe-tuner-trace';
export const traceFileVersion = 1;

const traceDescriptionSchema = z.object({
  version: z.literal(traceFileVersion),
  fingerprint: z.string().min(1),
  tags: z.array(z.string()).min(1),
  tokens: z.number().int().positive(),
  sequences: z.number().int().positive(),
  layers: z
    .array(z.object({ index: z.number().int().min(0), experts: z.number().int(), activeExperts: z.number().int() }))
    .min(1),
});

export type TraceDescription = z.infer<typeof traceDescriptionSchema>;

/** What every token of a text chose in every MoE layer. */
export interface RoutingTrace {
  readonly description: TraceDescription;
  readonly sequences: readonly TaggedSequence[];
  /** In the order of the description's layers. */
  readonly layers: readonly LayerTrace[];
}

/** Choices of a layer: `layers.I.chosen` U16 `[tokens, k]` and `layers.I.chosenGates` F16 `[tokens, k]`, best first. */
export function traceTensors(index: number, trace: LayerTrace): TensorToWrite[] {
  const shape = [trace.experts.length / trace.activeExperts, trace.activeExperts];
  const bytes = new Uint8Array(trace.experts.buffer, trace.experts.byteOffset, trace.experts.byteLength);
  return [
    { name: `${layerPrefix(index)}chosen`, dtype: 'U16', shape, data: bytes },
    { name: `${layerPrefix(index)}chosenGates`, dtype: 'F16', shape, data: fromFloat32('F16', trace.gates) },
  ];
}

/** @throws TunerError `malformedStatistics` */
export async function readTraceTensors(
  reader: StatisticsReader,
  layer: { readonly index: number; readonly experts: number; readonly activeExperts: number },
  tokens: number,
): Promise<LayerTrace> {
  const { index, activeExperts } = layer;
  const shape = [tokens, activeExperts];
  const experts = await reader.shorts(`${layerPrefix(index)}chosen`, shape);
  if (experts.some((expert) => expert >= layer.experts)) {
    throw malformedStatistics(reader.file, `${layerPrefix(index)}chosen`, `There are ${layer.experts} experts only.`);
  }
  return { activeExperts, experts, gates: await reader.floats(`${layerPrefix(index)}chosenGates`, 'F16', shape) };
}

/** Writes a trace as a safetensors file, atomically. @throws TunerError `writeFailed` */
export async function writeTrace(file: string, { description, sequences, layers }: RoutingTrace): Promise<void> {
  const tensor = (name: string, dtype: Dtype, values: Int32Array | Uint16Array): TensorToWrite => ({
    name,
    dtype,
    shape: [values.length],
    data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  });
  const ids = new Int32Array(description.tokens);
  let at = 0;
  for (const sequence of sequences) {
    ids.set(sequence.ids, at);
    at += sequence.ids.length;
  }
  await writeSafetensors(
    file,
    [
      tensor('ids', 'I32', ids),
      tensor(
        'sequences.lengths',
        'I32',
        Int32Array.from(sequences, (sequence) => sequence.ids.length),
      ),
      tensor(
        'sequences.tags',
        'U16',
        Uint16Array.from(sequences, ({ tag }) => tag),
      ),
      ...layers.flatMap((layer, position) => traceTensors(description.layers[position]!.index, layer)),
    ],
    { [metadataKey]: JSON.stringify(description) },
  );
}

/** @throws TunerError `fileNotFound`, `malformedSafetensors`, `malformedStatistics` naming file and place */
export async function readTrace(file: string): Promise<RoutingTrace> {
  const reader = await StatisticsReader.open(file);
  const place = `__metadata__.${metadataKey}`;
  const description = parseDescription(file, place, reader.metadata[metadataKey]);
  const ids = await reader.integers('ids', [description.tokens]);
  const lengths = await reader.integers('sequences.lengths', [description.sequences]);
  const tags = await reader.shorts('sequences.tags', [description.sequences]);
  const total = lengths.reduce((sum, length) => sum + Math.max(0, length), 0);
  if (lengths.some((length) => length < 1) || total !== description.tokens) {
    throw malformedStatistics(file, 'sequences.lengths', `The lengths do not add up to ${description.tokens} tokens.`);
  }
  if (tags.some((tag) => tag >= description.tags.length)) {
    throw malformedStatistics(file, 'sequences.tags', `There are ${description.tags.length} tags only.`);
  }
  let start = 0;
  const sequences = Array.from(lengths, (length, sequence) => {
    start += length;
    return { ids: ids.subarray(start - length, start), tag: tags[sequence]! };
  });
  const layers = [];
  for (const layer of description.layers) {
    layers.push(await readTraceTensors(reader, layer, description.tokens));
  }
  reader.assertAllRead();
  return { description, sequences, layers };
}

function parseDescription(file: string, place: string, text: string | undefined): TraceDescription {
  let value: unknown;
  try {
    value = JSON.parse(text ?? '');
  } catch {
    throw malformedStatistics(file, place, 'This is no routing trace.');
  }
  const parsed = traceDescriptionSchema.safeParse(value);
  if (!parsed.success) {
    throw malformedStatistics(file, place, 'The description of the trace is not as expected.');
  }
  return parsed.data;
}
