import type { ResolvedModel } from '../../families/resolveModel';
import type { ModelSpec } from '../../families/specification';
import { decoderGraph } from '../../graph/export/decoderGraph';
import { StackedTensors } from '../../graph/export/stackedTensors';
import { byteLengthOf, type TensorPiece } from '../../transform/tensorRewrite';
import type { ArtefactFile } from '../artefactFiles';
import { checkpointFiles } from '../checkpointFiles';
import { streamWeights } from '../streamWeights';
import { dataFileName, DataSources, type StackedPlaces } from './externalData';
import { finishModel } from './finishModel';
import { genaiConfigName, genaiConfigText, modelFileName } from './genaiConfig';

/** What an ONNX export consists of, before anything is written. */
export interface PlannedOnnx {
  readonly files: readonly ArtefactFile[];
  /** Decoder layers whose experts are one operator, and those whose experts are branches. */
  readonly fusedLayers: readonly number[];
  readonly branchedLayers: readonly number[];
  /** Where tensors lie in the data file that no file of the checkpoint has. */
  readonly stacked: StackedPlaces;
}

/**
 * The files of an ONNX export of a decoder: graph, weights and generation settings. Weights keep their precision; nothing is read
 * but headers until the files are written.
 * @param model the decoder, as a plan left it
 * @param activeExperts one number per MoE layer in order
 */
export function planOnnx(model: ModelSpec, resolved: ResolvedModel, activeExperts: readonly number[]): PlannedOnnx {
  const stacks = new StackedTensors();
  const graph = decoderGraph(model, { activeExperts, stacks });
  const layers = resolved.blocks.map(({ layer }) => layer);
  const withForm = (wanted: 'fused' | 'branches') => layers.filter((_, at) => graph.expertForms[at] === wanted);
  const fusedLayers = withForm('fused');
  const finished = finishModel(graph.model, new DataSources(model, stacks.all), fusedLayers);
  return {
    files: [
      { name: genaiConfigName, text: genaiConfigText(model, resolved.recognised) },
      weightsFile(modelFileName, finished.bytes, []),
      weightsFile(dataFileName, new Uint8Array(), finished.data.pieces),
    ],
    fusedLayers,
    branchedLayers: withForm('branches'),
    stacked: finished.data.stacked,
  };
}

function weightsFile(name: string, header: Uint8Array, pieces: readonly TensorPiece[]): ArtefactFile {
  return {
    name,
    bytes: header.byteLength + byteLengthOf(pieces),
    stream: (handle, written) => streamWeights(header, pieces, handle, written),
  };
}

/** Files of the checkpoint that generation needs beside the model: tokenizer, chat template, generation settings, licences. */
export async function companionFiles({ recognised }: ResolvedModel): Promise<ArtefactFile[]> {
  const files = await checkpointFiles(recognised.checkpoint);
  return files.filter(({ name }) => !/\.(safetensors|safetensors\.index\.json|py)$/.test(name));
}
