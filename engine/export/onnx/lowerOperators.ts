import { create } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from 'onnx-buf';

/** Versions that a model file states. */
interface StatedVersions {
  readonly operators: bigint;
  readonly format: bigint;
}

/** The oldest operator set that has everything exports use: runtimes and checkers of many years read it. */
const usual: StatedVersions = { operators: 17n, format: 8n };
/** Elements of 8 bits came later. */
const withFloat8: StatedVersions = { operators: 21n, format: 10n };

const float8Types: ReadonlySet<number> = new Set([DataType.FLOAT8E4M3FN, DataType.FLOAT8E5M2]);

/**
 * Writes a graph in operators of an old standard, and states its versions. ONNX Runtime makes its own normalisation of the standard
 * operators again when it loads the model, so nothing gets slower.
 */
export function lowerOperators(model: ModelProto): void {
  const main = model.graph!;
  const float8 = main.initializer.some(({ dataType }) => float8Types.has(dataType));
  const versions = float8 ? withFloat8 : usual;
  const constants = new Constants(main);
  rewriteNodes(main, (node) => {
    switch (node.opType) {
      case 'SimplifiedLayerNormalization':
        return rootMeanSquareNorm(node, constants, versions);
      case 'Split':
        // Before set 18 the number of outputs is the number of parts.
        dropAttribute(node, 'num_outputs', versions.operators < 18n);
        return [node];
      case 'Gelu':
        return versions.operators < 20n ? [contribGelu(node)] : [node];
      case 'ReduceMax':
      case 'ReduceSumSquare':
        axesAsAttribute(node, main, versions.operators < 18n);
        return [node];
      default:
        return [node];
    }
  });
  model.irVersion = versions.format;
  for (const set of model.opsetImport) {
    set.version = set.domain === '' ? versions.operators : set.version;
  }
}

/** Replaces every node of a graph and its branches by some nodes. */
function rewriteNodes(graph: GraphProto, rewrite: (node: NodeProto) => NodeProto[]): void {
  graph.node = graph.node.flatMap((node) => {
    for (const { g } of node.attribute) {
      if (g !== undefined) {
        rewriteNodes(g, rewrite);
      }
    }
    return rewrite(node);
  });
}

/** x / sqrt(mean(x²) + epsilon) · weight, over the last axis, in the form that ONNX Runtime recognises. */
function rootMeanSquareNorm(norm: NodeProto, constants: Constants, { operators }: StatedVersions): NodeProto[] {
  const [x, weight] = norm.input as [string, string];
  const output = norm.output[0]!;
  const epsilon = norm.attribute.find(({ name }) => name === 'epsilon')?.f ?? 1e-5;
  const part = (name: string) => `${output}/${name}`;
  const node = (opType: string, input: string[], name: string) =>
    create(NodeProtoSchema, { opType, input, output: [name], name });
  const mean = node('ReduceMean', [part('square')], part('mean'));
  // The axes became an input with set 18.
  if (operators < 18n) {
    mean.attribute.push(
      create(AttributeProtoSchema, { name: 'axes', type: AttributeType.INTS, ints: [-1n] }),
      create(AttributeProtoSchema, { name: 'keepdims', type: AttributeType.INT, i: 1n }),
    );
  } else {
    mean.input.push(constants.lastAxis());
  }
  return [
    node('Pow', [x, constants.float(2)], part('square')),
    mean,
    node('Add', [part('mean'), constants.float(epsilon)], part('shifted')),
    node('Sqrt', [part('shifted')], part('root')),
    node('Div', [x, part('root')], part('unit')),
    create(NodeProtoSchema, { opType: 'Mul', input: [part('unit'), weight], output: [output], name: norm.name }),
  ];
}

/** Gelu became a standard operator with set 20. */
function contribGelu(gelu: NodeProto): NodeProto {
  const stated = gelu.attribute.find(({ name }) => name === 'approximate')?.s;
  gelu.opType = new TextDecoder().decode(stated) === 'tanh' ? 'FastGelu' : 'Gelu';
  gelu.domain = 'com.microsoft';
  gelu.attribute = [];
  return gelu;
}

/** Before set 18 only ReduceSum took its axes as an input. */
function axesAsAttribute(node: NodeProto, { initializer }: GraphProto, wanted: boolean): void {
  const [, axes] = node.input;
  const constant = initializer.find(({ name }) => name === axes);
  if (wanted && constant !== undefined) {
    node.input.pop();
    const ints = [...constant.int64Data];
    node.attribute.push(create(AttributeProtoSchema, { name: 'axes', type: AttributeType.INTS, ints }));
  }
}

function dropAttribute(node: NodeProto, dropped: string, drop: boolean): void {
  if (drop) {
    node.attribute = node.attribute.filter(({ name }) => name !== dropped);
  }
}

/** Constants of the outermost graph, each once. */
class Constants {
  private readonly made = new Set<string>();

  constructor(private readonly graph: GraphProto) {}

  float(value: number): string {
    return this.add(`constant/float ${value}`, { dataType: DataType.FLOAT, floatData: [value] });
  }

  lastAxis(): string {
    return this.add('constant/last axis', { dataType: DataType.INT64, dims: [1n], int64Data: [-1n] });
  }

  private add(
    name: string,
    content: { dataType: DataType; dims?: bigint[]; floatData?: number[]; int64Data?: bigint[] },
  ): string {
    if (!this.made.has(name)) {
      this.made.add(name);
      this.graph.initializer.push(create(TensorProtoSchema, { name, ...content }));
    }
    return name;
  }
}
