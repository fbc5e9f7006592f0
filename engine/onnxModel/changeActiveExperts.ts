import { create } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from 'onnx-buf';
import { TunerError } from '../protocol/errors';
import type { MoeOperator } from './openOnnxModel';

/** Nodes that are looked at upwards of an operator's routing input: a router is a handful of them. */
const routerNodes = 64;
/** Operators whose result is the router logits: nothing above them chooses experts. */
const logitOperators: ReadonlySet<string> = new Set(['Gemm', 'MatMul', 'MatMulNBits', 'FusedMatMul']);

/**
 * Changes the number of active experts of MoE operators inside a model. Where the choice is made by a `TopK` before the operator
 * (routers that the operator does not know), its number changes with it. The given model is changed.
 * @param activeExperts one number per operator, in the order of the graph
 * @returns how many operators changed
 * @throws TunerError `unsupportedFeature` naming the operator where the number cannot be told from the graph
 */
export function changeActiveExperts(
  model: ModelProto,
  operators: readonly MoeOperator[],
  activeExperts: readonly number[],
  file: string,
): number {
  const graph = model.graph!;
  const producers = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node] as const)));
  let changed = 0;
  for (const [at, operator] of operators.entries()) {
    const k = activeExperts[at]!;
    if (k === operator.activeExperts) {
      continue;
    }
    const choices = choicesAbove(graph, producers, operator);
    if (choices.kind === 'unclear') {
      throw new TunerError(
        'unsupportedFeature',
        `The number of layer ${operator.layer} cannot be changed: ${choices.reason}.`,
        {
          file,
          place: operator.node.name,
          wayOut: 'Export the original checkpoint again with this plan.',
        },
      );
    }
    setAttribute(operator.node, k);
    for (const node of choices.nodes) {
      node.input[1] = addNumber(graph, `${operator.node.name}/active_experts`, k);
    }
    changed += 1;
  }
  return changed;
}

type Choices =
  | { readonly kind: 'found'; readonly nodes: readonly NodeProto[] }
  | { readonly kind: 'unclear'; readonly reason: string };

/** The `TopK` operators that choose the experts of an operator before it does. */
function choicesAbove(
  graph: GraphProto,
  producers: ReadonlyMap<string, NodeProto>,
  { node, activeExperts }: MoeOperator,
): Choices {
  const found = new Set<NodeProto>();
  const seen = new Set<NodeProto>();
  const pending = [node.input[1] ?? '', node.input[14] ?? ''];
  while (pending.length > 0) {
    const producer = producers.get(pending.pop()!);
    if (producer === undefined || seen.has(producer) || logitOperators.has(producer.opType)) {
      continue;
    }
    seen.add(producer);
    if (seen.size > routerNodes) {
      return { kind: 'unclear', reason: 'its router has too many operators' };
    }
    if (producer.opType === 'ArgMax') {
      return { kind: 'unclear', reason: 'its router chooses a fixed number of experts' };
    }
    if (producer.opType === 'TopK' && numberOf(graph, producers, producer.input[1] ?? '') === activeExperts) {
      // What lies above it chooses groups of experts, which may be as many.
      found.add(producer);
      continue;
    }
    pending.push(...producer.input);
  }
  if (found.size > 1) {
    return { kind: 'unclear', reason: 'several operators of its router choose that many' };
  }
  // Gates that multiply the input of the experts are those of one expert.
  const gated = producers.get(node.input[0] ?? '');
  if (gated?.opType === 'Mul' && comesFrom(producers, gated, found)) {
    return { kind: 'unclear', reason: 'its gates multiply the inputs of a single expert' };
  }
  return { kind: 'found', nodes: [...found] };
}

/** Whether the inputs of a node are made of what one of `sources` gives, a few nodes above it. */
function comesFrom(
  producers: ReadonlyMap<string, NodeProto>,
  node: NodeProto,
  sources: ReadonlySet<NodeProto>,
): boolean {
  const seen = new Set<NodeProto>();
  let above = [node];
  while (above.length > 0 && seen.size < routerNodes) {
    above = above
      .flatMap(({ input }) => input.flatMap((name) => producers.get(name) ?? []))
      .filter((producer) => !seen.has(producer) && !logitOperators.has(producer.opType));
    above.forEach((producer) => seen.add(producer));
    if (above.some((producer) => sources.has(producer))) {
      return true;
    }
  }
  return false;
}

function numberOf(graph: GraphProto, producers: ReadonlyMap<string, NodeProto>, name: string): number | undefined {
  const constant = producers.get(name)?.attribute.find((attribute) => attribute.name === 'value')?.t;
  const tensor = graph.initializer.find((each) => each.name === name) ?? constant;
  return tensor === undefined ? undefined : firstInteger(tensor);
}

function firstInteger({ int64Data, rawData }: TensorProto): number | undefined {
  if (int64Data.length > 0) {
    return Number(int64Data[0]);
  }
  return rawData.byteLength >= 8
    ? Number(new DataView(rawData.buffer, rawData.byteOffset, 8).getBigInt64(0, true))
    : undefined;
}

function setAttribute({ attribute }: NodeProto, k: number): void {
  const stated = attribute.find(({ name }) => name === 'k');
  if (stated === undefined) {
    // Without the attribute it is 1.
    attribute.push(create(AttributeProtoSchema, { name: 'k', type: AttributeType.INT, i: BigInt(k) }));
  } else {
    stated.i = BigInt(k);
  }
}

function addNumber(graph: GraphProto, wanted: string, value: number): string {
  const known = graph.initializer.find(({ name }) => name === wanted);
  const tensor = known ?? create(TensorProtoSchema, { name: wanted, dataType: DataType.INT64, dims: [1n] });
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  tensor.rawData = bytes;
  if (known === undefined) {
    graph.initializer.push(tensor);
  }
  return wanted;
}
