import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProto_DataType as DataType, type ModelProto, type NodeProto } from 'onnx-buf';
import * as z from 'zod';
import { parseJson } from '../checkpoint/jsonText';
import { fileAccessError, readTextFile } from '../checkpoint/textFile';
import { TunerError } from '../protocol/errors';
import { configName } from './isOnnxModel';

/** A protobuf message cannot be larger; weights beyond lie in files beside the model. */
const largestModelBytes = 2 ** 31;

const configSchema = z.looseObject({
  model: z.looseObject({
    type: z.string().default('decoder'),
    vocab_size: z.number().int().default(0),
    decoder: z.looseObject({
      filename: z.string().default('model.onnx'),
      hidden_size: z.number().int().default(0),
      num_hidden_layers: z.number().int().default(0),
    }),
  }),
});

export type GenaiConfig = z.infer<typeof configSchema>;

/** One MoE operator of a model. */
export interface MoeOperator {
  readonly node: NodeProto;
  /** Decoder layer: from the operator's name, else its place among the MoE operators. */
  readonly layer: number;
  readonly experts: number;
  readonly activeExperts: number;
  /** Bits of the expert weights. */
  readonly bits: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  /** Bytes of the expert weights with their scales and zero points. */
  readonly bytes: number;
  /** Parameters of one expert. */
  readonly expertParameters: number;
}

/** An ONNX model folder in the form of ONNX Runtime GenAI, with MoE operators. */
export interface OnnxModel {
  /** Absolute path of the folder. */
  readonly folder: string;
  readonly modelFile: string;
  readonly config: GenaiConfig;
  readonly model: ModelProto;
  /** In the order of the graph. */
  readonly operators: readonly MoeOperator[];
  /** Bytes of the model and of the files its weights lie in. */
  readonly bytes: number;
  readonly parameters: number;
}

/**
 * Opens an ONNX model and finds its MoE operators; weights outside the model file are not read.
 * @throws TunerError `malformedConfig`, `fileNotFound`, `notACheckpoint`, `notMixtureOfExperts`
 */
export async function openOnnxModel(location: string): Promise<OnnxModel> {
  const folder = path.resolve(location);
  const configFile = path.join(folder, configName);
  const parsed = configSchema.safeParse(
    parseJson(await readTextFile(configFile, 'malformedConfig'), configFile, 'malformedConfig'),
  );
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new TunerError('malformedConfig', `The generation settings are not readable: ${issue?.message ?? ''}.`, {
      file: configFile,
      place: issue?.path.join('.'),
      wayOut: 'Export the model again.',
    });
  }
  const config = parsed.data;
  const modelFile = path.join(folder, path.basename(config.model.decoder.filename));
  const model = await readModel(modelFile);
  const nodes = model.graph?.node.filter(({ opType, domain }) => isMoe(opType) && domain === 'com.microsoft') ?? [];
  if (nodes.length === 0) {
    throw new TunerError('notMixtureOfExperts', 'The model has no MoE or QMoE operator.', {
      file: modelFile,
      wayOut: 'Experts that are plain operators have no number to change: export the original checkpoint again.',
    });
  }
  const operators = nodes.map((node, at) => describe(model, node, at, modelFile));
  return {
    folder,
    modelFile,
    config,
    model,
    operators,
    bytes: await weightBytes(model, modelFile),
    parameters: parametersOf(model, operators),
  };
}

function isMoe(operator: string): boolean {
  return operator === 'MoE' || operator === 'QMoE';
}

async function readModel(file: string): Promise<ModelProto> {
  try {
    const { size } = await stat(file);
    if (size > largestModelBytes) {
      throw new TunerError('notACheckpoint', 'The file is too large for an ONNX model.', { file });
    }
    return fromBinary(ModelProtoSchema, await readFile(file));
  } catch (error) {
    if (error instanceof Error && 'code' in error) {
      throw fileAccessError(error, file);
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new TunerError('notACheckpoint', `The file is not an ONNX model (${reason}).`, {
      file,
      wayOut: 'Download or export it again.',
    });
  }
}

/** Inputs of the operators, by position: weights of both layers, then what belongs to them. */
const weightInputs = {
  MoE: { first: 2, second: 4, others: [3, 5, 6, 7] },
  QMoE: { first: 2, second: 5, others: [3, 4, 6, 7, 11, 12] },
} as const;

function describe(model: ModelProto, node: NodeProto, position: number, file: string): MoeOperator {
  const inputs = node.opType === 'MoE' ? weightInputs.MoE : weightInputs.QMoE;
  const [first, second] = [inputs.first, inputs.second].map((at) => weightOf(model, node.input[at] ?? ''));
  const k = Number(node.attribute.find(({ name }) => name === 'k')?.i ?? 1n);
  const bits =
    node.opType === 'MoE'
      ? undefined
      : Number(node.attribute.find(({ name }) => name === 'expert_weight_bits')?.i ?? 4n);
  if (first?.dims.length !== 3 || second?.dims.length !== 3) {
    throw new TunerError('unsupportedFeature', 'The expert weights of an operator are not stored in the model.', {
      file,
      place: node.name,
      wayOut: 'Export the model with weights as initializers.',
    });
  }
  const experts = Number(first.dims[0]);
  const [, hiddenSize, packed] = second.dims.map(Number) as [number, number, number];
  const perByte = bits === undefined ? 1 : 8 / bits;
  const others = inputs.others.flatMap((at) => weightOf(model, node.input[at] ?? '') ?? []);
  const named = /layers[./](\d+)/.exec(node.name);
  const values = [first, second].reduce((sum, { dims }) => sum + product(dims), 0) * perByte;
  return {
    node,
    layer: named === null ? position : Number(named[1]),
    experts,
    activeExperts: k,
    bits: bits ?? 8 * elementBytes(first.dataType),
    hiddenSize,
    intermediateSize: packed * perByte,
    bytes: [first, second, ...others].reduce(
      (sum, { dims, dataType }) => sum + product(dims) * elementBytes(dataType),
      0,
    ),
    expertParameters: values / experts,
  };
}

/** An initializer, also one that is converted on its way to the operator. */
function weightOf(model: ModelProto, name: string) {
  const graph = model.graph!;
  const cast = graph.node.find(({ opType, output }) => opType === 'Cast' && output[0] === name);
  const stored = cast?.input[0] ?? name;
  return graph.initializer.find((tensor) => tensor.name === stored);
}

const elementSizes: Readonly<Record<number, number>> = {
  [DataType.DOUBLE]: 8,
  [DataType.INT64]: 8,
  [DataType.FLOAT]: 4,
  [DataType.FLOAT16]: 2,
  [DataType.BFLOAT16]: 2,
};

function elementBytes(type: number): number {
  return elementSizes[type] ?? 1;
}

function product(sizes: readonly bigint[]): number {
  return sizes.reduce((total, size) => total * Number(size), 1);
}

/** Values of all floating-point weights, codes counted as the values they stand for. */
function parametersOf(model: ModelProto, operators: readonly MoeOperator[]): number {
  const expert = operators.reduce((sum, { experts, expertParameters }) => sum + experts * expertParameters, 0);
  const used = new Set(operators.flatMap(({ node }) => node.input.map((name) => weightOf(model, name)?.name)));
  const floats = new Set<number>([DataType.FLOAT, DataType.FLOAT16, DataType.BFLOAT16]);
  const others = model.graph!.initializer.filter(({ name, dataType }) => !used.has(name) && floats.has(dataType));
  return others.reduce((sum, { dims }) => sum + product(dims), expert);
}

async function weightBytes(model: ModelProto, modelFile: string): Promise<number> {
  const files = new Set(
    model.graph!.initializer.flatMap(({ externalData }) =>
      externalData
        .filter(({ key }) => key === 'location')
        .map(({ value }) => path.join(path.dirname(modelFile), value)),
    ),
  );
  let sum = 0;
  for (const file of [modelFile, ...files]) {
    sum += await stat(file).then(
      ({ size }) => size,
      (error: unknown) => {
        throw fileAccessError(error, file);
      },
    );
  }
  return sum;
}
