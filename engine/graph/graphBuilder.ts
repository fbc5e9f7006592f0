import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from 'onnx-buf';
import { TunerError } from '../protocol/errors';
import type { Dtype, TensorEntry } from '../checkpoint/types';

/** Name of a value inside a graph. */
export type Value = string;

export type AttributeValue = number | string | readonly number[] | { readonly float: number } | GraphProto;

const elementTypes: Partial<Record<Dtype, DataType>> = {
  F32: DataType.FLOAT,
  F16: DataType.FLOAT16,
  BF16: DataType.BFLOAT16,
  F64: DataType.DOUBLE,
  F8_E4M3: DataType.FLOAT8E4M3FN,
  F8_E5M2: DataType.FLOAT8E5M2,
  U8: DataType.UINT8,
  I64: DataType.INT64,
  I32: DataType.INT32,
};

/** Operator sets that every graph declares. */
const operatorSets = [
  { domain: '', version: 21n },
  { domain: 'com.microsoft', version: 1n },
];

/** Shared by a graph and its branches: value names, constants and weights belong to the outermost graph. */
interface Shared {
  counter: number;
  readonly constants: Map<string, Value>;
  readonly initializers: TensorProto[];
}

/**
 * Builds one ONNX graph. Weights are external initializers that point into the checkpoint's own files,
 * relative to the root of the file system, so nothing is copied and nothing is read until the graph runs.
 */
export class GraphBuilder {
  private readonly nodes: NodeProto[] = [];
  private readonly inputs: GraphProto['input'] = [];
  private readonly outputs: GraphProto['output'] = [];

  constructor(private readonly shared: Shared = { counter: 0, constants: new Map(), initializers: [] }) {}

  /** A name that no other value of the model has. */
  fresh(hint: string): Value {
    this.shared.counter += 1;
    return `${hint}_${this.shared.counter}`;
  }

  /** Declares a graph input; null dimensions are free. */
  input(name: string, elementType: DataType, shape: readonly (number | null)[]): Value {
    this.inputs.push(valueInfo(name, elementType, shape));
    return name;
  }

  /** Declares `value` as the graph output `name`. */
  output(name: string, value: Value, elementType: DataType, shape: readonly (number | null)[]): void {
    this.node('Identity', [value], {}, { outputs: [name] });
    this.outputs.push(valueInfo(name, elementType, shape));
  }

  /** Declares an operator's output of this name as a graph output. */
  declareOutput(name: string, elementType: DataType, shape: readonly (number | null)[]): void {
    this.outputs.push(valueInfo(name, elementType, shape));
  }

  /** Appends an operator and returns its first output. Empty input names leave optional inputs out. */
  node(
    operator: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    options: { readonly outputs?: readonly Value[]; readonly domain?: string } = {},
  ): Value {
    const outputs = options.outputs ?? [this.fresh(operator)];
    this.nodes.push(
      create(NodeProtoSchema, {
        name: this.fresh(`n_${operator}`),
        opType: operator,
        domain: options.domain ?? '',
        input: [...inputs],
        output: [...outputs],
        attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
      }),
    );
    return outputs[0]!;
  }

  /** An operator with several outputs. */
  split(
    operator: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, AttributeValue>>,
    count: number,
  ): Value[] {
    const outputs = Array.from({ length: count }, () => this.fresh(operator));
    this.node(operator, inputs, attributes, { outputs });
    return outputs;
  }

  integers(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    return this.constant(`i:${shape.join('x')}:${values.join(',')}`, () =>
      create(TensorProtoSchema, {
        dataType: DataType.INT64,
        dims: shape.map(BigInt),
        int64Data: values.map(BigInt),
      }),
    );
  }

  floats(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    return this.constant(`f:${shape.join('x')}:${values.join(',')}`, () =>
      create(TensorProtoSchema, { dataType: DataType.FLOAT, dims: shape.map(BigInt), floatData: [...values] }),
    );
  }

  doubles(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    return this.constant(`d:${shape.join('x')}:${values.join(',')}`, () =>
      create(TensorProtoSchema, { dataType: DataType.DOUBLE, dims: shape.map(BigInt), doubleData: [...values] }),
    );
  }

  integer(value: number): Value {
    return this.integers([value], []);
  }

  float(value: number): Value {
    return this.floats([value], []);
  }

  /** A float tensor of the shape of `like`, every element `value`. */
  filled(like: Value, value: number): Value {
    return this.node('Expand', [this.float(value), this.node('Shape', [like])]);
  }

  /** A stored tensor in its own dtype. Throws `unsupportedDtype` for dtypes ONNX cannot hold. */
  stored(entry: TensorEntry, shape: readonly number[] = entry.shape): Value {
    const elementType = elementTypes[entry.dtype];
    if (elementType === undefined) {
      throw new TunerError('unsupportedDtype', `The dtype ${entry.dtype} cannot be computed with.`, {
        file: entry.file,
        place: entry.name,
        wayOut: 'Convert the checkpoint to BF16, F16 or F32 first.',
      });
    }
    const key = `w:${entry.file}:${entry.byteOffset}:${entry.byteLength}:${shape.join('x')}`;
    return this.constant(key, () =>
      create(TensorProtoSchema, {
        dataType: elementType,
        dims: shape.map(BigInt),
        dataLocation: DataLocation.EXTERNAL,
        externalData: [
          { key: 'location', value: relativeToRoot(entry.file) },
          { key: 'offset', value: String(entry.byteOffset) },
          { key: 'length', value: String(entry.byteLength) },
        ],
      }),
    );
  }

  /** A stored tensor as float32. The cast runs where it is used, so an unused expert is never read. */
  weight(entry: TensorEntry, shape: readonly number[] = entry.shape): Value {
    const stored = this.stored(entry, shape);
    return entry.dtype === 'F32' ? stored : this.node('Cast', [stored], { to: DataType.FLOAT });
  }

  /** A branch of an `If`: sees the values of this graph, has its own nodes. */
  branch(
    build: (branch: GraphBuilder) => readonly { value: Value; elementType: DataType; rank: number }[],
  ): GraphProto {
    const branch = new GraphBuilder(this.shared);
    for (const { value, elementType, rank } of build(branch)) {
      branch.outputs.push(valueInfo(value, elementType, Array<null>(rank).fill(null)));
    }
    return branch.graph('branch', []);
  }

  /** The finished model as bytes of an ONNX `ModelProto`. */
  build(name: string): Uint8Array {
    const model = create(ModelProtoSchema, {
      irVersion: 10n,
      producerName: 'moe-tuner',
      opsetImport: operatorSets,
      graph: this.graph(name, this.shared.initializers),
    });
    return toBinary(ModelProtoSchema, model);
  }

  private graph(name: string, initializers: TensorProto[]): GraphProto {
    return create(GraphProtoSchema, {
      name,
      node: this.nodes,
      input: this.inputs,
      output: this.outputs,
      initializer: initializers,
    });
  }

  private constant(key: string, make: () => TensorProto): Value {
    const known = this.shared.constants.get(key);
    if (known !== undefined) {
      return known;
    }
    const tensor = make();
    tensor.name = this.fresh('constant');
    this.shared.initializers.push(tensor);
    this.shared.constants.set(key, tensor.name);
    return tensor.name;
  }
}

/** ONNX Runtime wants external locations relative to a folder: the root of the file system the file is on. */
function relativeToRoot(file: string): string {
  return file.replace(/^([A-Za-z]:)?[\\/]+/, '').replaceAll('\\', '/');
}

function valueInfo(name: string, elementType: DataType, shape: readonly (number | null)[]) {
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: 'tensorType',
        value: {
          elemType: elementType,
          shape: {
            dim: shape.map((size, axis) => ({
              value:
                size === null
                  ? { case: 'dimParam' as const, value: `${name}_${axis}` }
                  : { case: 'dimValue' as const, value: BigInt(size) },
            })),
          },
        },
      },
    },
  });
}

function attribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'string') {
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  }
  if (typeof value === 'number') {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  }
  if (Array.isArray(value)) {
    return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
  }
  if ('float' in value) {
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  }
  return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: value as GraphProto });
}
