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
import type { Dtype, TensorEntry } from '../checkpoint/types';
import { cpuTarget, type GraphTarget } from './graphTarget';
import { bfloat16Table, fedName, fedTypes } from './gpu/fedWeights';
import { isExactFactor, isProduct, splitProduct } from './gpu/splitProduct';
import { storedType, storedTypes } from './storedTypes';
import { toBfloat16Bits, toFloat16Bits } from '../numeric/halfPrecision';

/** Name of a value inside a graph. */
export type Value = string;

export type AttributeValue = number | string | readonly number[] | { readonly float: number } | GraphProto;

/** Dtypes of at most 11 significant bits. */
const exactDtypes: ReadonlySet<Dtype> = new Set(['F16', 'BF16', 'F8_E4M3', 'F8_E5M2', 'U8']);

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
  /** Values with so few significant bits that tensor cores multiply them exactly. */
  readonly exactFactors: Set<Value>;
  /** Derived values that several operators ask for, by what they are. */
  readonly derived: Map<string, Value>;
  /** Whether {@link GraphBuilder.end} was called. */
  ended: boolean;
}

/** What one graph or branch consists of; views in another precision append to the same. */
interface Body {
  readonly nodes: NodeProto[];
  readonly inputs: GraphProto['input'];
  readonly outputs: GraphProto['output'];
}

/** Element types that weights and constants of a view can have. */
export type FloatType = DataType.FLOAT | DataType.FLOAT16 | DataType.BFLOAT16;

/**
 * Builds one ONNX graph. Weights are external initializers that point into the checkpoint's own files,
 * relative to the root of the file system, so nothing is copied and nothing is read until the graph runs.
 */
export class GraphBuilder {
  constructor(
    /** What the graph is built for. */
    readonly target: GraphTarget = cpuTarget,
    /** Type of weights and float constants. */
    readonly elementType: FloatType = DataType.FLOAT,
    private readonly shared: Shared = {
      counter: 0,
      constants: new Map(),
      initializers: [],
      exactFactors: new Set(),
      derived: new Map(),
      ended: false,
    },
    private readonly body: Body = { nodes: [], inputs: [], outputs: [] },
  ) {}

  /** The same graph, with weights and float constants of another element type. */
  inPrecision(elementType: FloatType): GraphBuilder {
    return elementType === this.elementType ? this : new GraphBuilder(this.target, elementType, this.shared, this.body);
  }

  /** A name that no other value of the model has. */
  fresh(hint: string): Value {
    this.shared.counter += 1;
    return `${hint}_${this.shared.counter}`;
  }

  /** Declares a graph input; null dimensions are free. */
  input(name: string, elementType: DataType, shape: readonly (number | null)[]): Value {
    if (!this.shared.ended) {
      this.body.inputs.push(valueInfo(name, elementType, shape));
    }
    return name;
  }

  /** Declares `value` as the graph output `name`. */
  output(name: string, value: Value, elementType: DataType, shape: readonly (number | null)[]): void {
    this.node('Identity', [value], {}, { outputs: [name] });
    this.declareOutput(name, elementType, shape);
  }

  /** Declares an operator's output of this name as a graph output. */
  declareOutput(name: string, elementType: DataType, shape: readonly (number | null)[]): void {
    if (!this.shared.ended) {
      this.body.outputs.push(valueInfo(name, elementType, shape));
    }
  }

  /** Ends the graph here: what is asked of this builder afterwards does not become part of it. */
  end(): void {
    this.shared.ended = true;
  }

  /** Appends an operator and returns its first output. Empty input names leave optional inputs out. */
  node(
    operator: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    options: { readonly outputs?: readonly Value[]; readonly domain?: string } = {},
  ): Value {
    if (isProduct(operator) && this.target.products === 'split' && this.elementType === DataType.FLOAT) {
      return splitProduct(this, operator, inputs, attributes);
    }
    return this.append(operator, inputs, attributes, options);
  }

  /** The operator as it is, also where {@link node} would replace a product. */
  append(
    operator: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    options: { readonly outputs?: readonly Value[]; readonly domain?: string } = {},
  ): Value {
    const outputs = options.outputs ?? [this.fresh(operator)];
    if (this.shared.ended) {
      return outputs[0]!;
    }
    if (isExactFactor(operator, inputs, this.shared.exactFactors)) {
      outputs.forEach((output) => this.shared.exactFactors.add(output));
    }
    this.body.nodes.push(
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

  /** A constant of the element type of this view. */
  floats(values: readonly number[], shape: readonly number[] = [values.length]): Value {
    const { elementType } = this;
    return this.constant(`f${elementType}:${shape.join('x')}:${values.join(',')}`, () => {
      const tensor = create(TensorProtoSchema, { dataType: elementType, dims: shape.map(BigInt) });
      if (elementType === DataType.FLOAT) {
        tensor.floatData = [...values];
      } else {
        tensor.int32Data = values.map(elementType === DataType.FLOAT16 ? toFloat16Bits : toBfloat16Bits);
      }
      return tensor;
    });
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

  /** `value` with the element type of this view. What comes from a view in half precision stays an exact factor. */
  cast(value: Value, from: GraphBuilder = this): Value {
    return this.derived(`cast${this.elementType}:${value}`, () => {
      const cast = this.node('Cast', [value], { to: this.elementType });
      if (from.elementType !== DataType.FLOAT) {
        this.shared.exactFactors.add(cast);
      }
      return cast;
    });
  }

  /** A value that is built once, however many operators ask for it. For graphs without branches. */
  derived(key: string, build: () => Value): Value {
    const known = this.shared.derived.get(key);
    if (known !== undefined) {
      return known;
    }
    const value = build();
    this.shared.derived.set(key, value);
    return value;
  }

  /** Whether tensor cores multiply `value` exactly: see {@link splitProduct}. */
  isExactFactor(value: Value): boolean {
    return this.shared.exactFactors.has(value);
  }

  /** A float tensor of the shape of `like`, every element `value`. */
  filled(like: Value, value: number): Value {
    return this.node('Expand', [this.float(value), this.node('Shape', [like])]);
  }

  /** A stored tensor in its own dtype. Throws `unsupportedDtype` for dtypes ONNX cannot hold. */
  stored(entry: TensorEntry, shape: readonly number[] = entry.shape): Value {
    const { fed } = this.target;
    if (fed === undefined) {
      return this.loaded(entry, shape);
    }
    storedType(entry);
    return this.derived(storedKey(entry, shape), () => this.fedWeight(entry, shape, fed));
  }

  /** A stored tensor that is loaded with the graph, also where weights are fed with every run. */
  loaded(entry: TensorEntry, shape: readonly number[] = entry.shape): Value {
    const elementType = storedType(entry);
    return this.constant(storedKey(entry, shape), () =>
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

  /** A stored tensor that is an input of the graph. */
  private fedWeight(entry: TensorEntry, shape: readonly number[], fed: TensorEntry[]): Value {
    const wire = fedTypes[entry.dtype];
    if (wire === undefined) {
      throw new RangeError(`weights of dtype ${entry.dtype} cannot be fed`);
    }
    const input = this.input(fedName(fed.length), wire.type, shape);
    fed.push({ ...entry, shape });
    if (entry.dtype !== 'BF16') {
      return input;
    }
    const table = this.constant('bfloat16 values', bfloat16Table);
    return this.append('Gather', [table, this.append('Cast', [input], { to: DataType.INT32 })], { axis: 0 });
  }

  /** A stored tensor in the element type of this view. The cast runs where it is used, so an unused expert is never read. */
  weight(entry: TensorEntry, shape: readonly number[] = entry.shape): Value {
    return this.ofDtype(this.stored(entry, shape), entry.dtype);
  }

  /** A value of a stored dtype in the element type of this view. */
  ofDtype(stored: Value, dtype: Dtype): Value {
    const same = storedTypes[dtype] === this.elementType;
    const value = same ? stored : this.node('Cast', [stored], { to: this.elementType });
    if (exactDtypes.has(dtype)) {
      this.shared.exactFactors.add(value);
    }
    return value;
  }

  /** A branch of an `If`: sees the values of this graph, has its own nodes. */
  branch(
    build: (branch: GraphBuilder) => readonly { value: Value; elementType: DataType; rank: number }[],
  ): GraphProto {
    const branch = new GraphBuilder(this.target, this.elementType, this.shared);
    for (const { value, elementType, rank } of build(branch)) {
      branch.body.outputs.push(valueInfo(value, elementType, Array<null>(rank).fill(null)));
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
      node: this.body.nodes,
      input: this.body.inputs,
      output: this.body.outputs,
      initializer: initializers,
    });
  }

  private constant(key: string, make: () => TensorProto): Value {
    const known = this.shared.constants.get(key);
    if (known !== undefined) {
      return known;
    }
    const name = this.fresh('constant');
    if (!this.shared.ended) {
      const tensor = make();
      tensor.name = name;
      this.shared.initializers.push(tensor);
      this.shared.constants.set(key, name);
    }
    return name;
  }
}

function storedKey({ file, byteOffset, byteLength }: TensorEntry, shape: readonly number[]): string {
  return `w:${file}:${byteOffset}:${byteLength}:${shape.join('x')}`;
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
