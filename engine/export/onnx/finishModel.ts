import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, type GraphProto, type NodeProto, type ValueInfoProto } from 'onnx-buf';
import { engineVersion } from '../../version';
import { lowerOperators } from './lowerOperators';
import { layOutData, type DataLayout, type DataSources } from './externalData';

/** Names of free dimensions by graph value: the same name means the same size. */
const dimensionNames: readonly { readonly pattern: RegExp; readonly names: readonly (string | undefined)[] }[] = [
  { pattern: /^(input_ids|position_ids|logits)$/, names: ['batch_size', 'sequence_length'] },
  { pattern: /^attention_mask$/, names: ['batch_size', 'total_sequence_length'] },
  { pattern: /^past_key_values\./, names: ['batch_size', undefined, 'past_sequence_length'] },
  { pattern: /^present\./, names: ['batch_size', undefined, 'total_sequence_length'] },
  { pattern: /^(past|present)_conv\./, names: ['batch_size'] },
];

/** A model as it is written, and what has to lie beside it. */
export interface FinishedModel {
  readonly bytes: Uint8Array;
  readonly data: DataLayout;
}

/**
 * Turns a graph that points into checkpoint files into a model file of its own: weights in one data file, tensors under their names
 * in the checkpoint, standard operators of an old set where the engine uses those of ONNX Runtime, MoE operators named after their layer.
 * @param moeLayers decoder layers with MoE blocks in order, those without a MoE operator left out
 */
export function finishModel(graph: Uint8Array, sources: DataSources, moeLayers: readonly number[]): FinishedModel {
  const model = fromBinary(ModelProtoSchema, graph);
  const main = model.graph!;
  const { data, names } = layOutData(main, sources);
  renameTensors(main, names);
  nameMoeOperators(main, moeLayers);
  for (const value of [...main.input, ...main.output]) {
    nameDimensions(value);
  }
  lowerOperators(model);
  model.producerVersion = engineVersion;
  return { bytes: toBinary(ModelProtoSchema, model), data };
}

function everyNode(graph: GraphProto, visit: (node: NodeProto) => void): void {
  for (const node of graph.node) {
    visit(node);
    for (const { g } of node.attribute) {
      if (g !== undefined) {
        everyNode(g, visit);
      }
    }
  }
}

/** Initializers get the name of their tensor; a second view of the same tensor gets a number. */
function renameTensors(graph: GraphProto, wanted: ReadonlyMap<string, string>): void {
  const uses = new Map<string, number>();
  const names = new Map<string, string>();
  for (const tensor of graph.initializer) {
    const base = wanted.get(tensor.name);
    if (base === undefined) {
      continue;
    }
    const use = (uses.get(base) ?? 0) + 1;
    uses.set(base, use);
    const name = use === 1 ? base : `${base} (${use})`;
    names.set(tensor.name, name);
    tensor.name = name;
  }
  everyNode(graph, (node) => {
    node.input.forEach((input, at) => {
      node.input[at] = names.get(input) ?? input;
    });
  });
}

function nameMoeOperators(graph: GraphProto, moeLayers: readonly number[]): void {
  const operators = graph.node.filter(({ opType }) => opType === 'MoE' || opType === 'QMoE');
  operators.forEach((node, at) => {
    node.name = `/model/layers.${moeLayers[at]}/moe/${node.opType}`;
  });
}

function nameDimensions({ name, type }: ValueInfoProto): void {
  const names = dimensionNames.find(({ pattern }) => pattern.test(name))?.names;
  if (names === undefined || type?.value.case !== 'tensorType') {
    return;
  }
  type.value.value.shape?.dim.forEach((dimension, axis) => {
    const free = names[axis];
    if (free !== undefined && dimension.value.case === 'dimParam') {
      dimension.value.value = free;
    }
  });
}
