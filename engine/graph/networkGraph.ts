import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { ActivationSpec, FeedForwardSpec, RouterSpec } from '../families/specification';
import { intermediateActivations } from './feedForward';
import { GraphBuilder } from './graphBuilder';
import { linear } from './linear';
import { router } from './router';

export const networkNames = { x: 'x', intermediate: 'intermediate', y: 'y' } as const;

/** One network alone: `x [tokens, hidden]` → what enters its down projection `[tokens, width]`, and `y [tokens, hidden]`. */
export function networkGraph(network: FeedForwardSpec, activation: ActivationSpec): Uint8Array {
  const graph = new GraphBuilder();
  const { inputSize: width, outputSize: hiddenSize } = network.down;
  const x = graph.input(networkNames.x, DataType.FLOAT, [null, hiddenSize]);
  const intermediate = intermediateActivations(graph, x, network, activation);
  graph.output(networkNames.intermediate, intermediate, DataType.FLOAT, [null, width]);
  graph.output(networkNames.y, linear(graph, intermediate, network.down), DataType.FLOAT, [null, hiddenSize]);
  return graph.build('network');
}

export const routingNames = { x: 'x', activeExperts: 'active_experts', experts: 'experts', gates: 'gates' } as const;

/** The router alone: `x [tokens, hidden]`, `active_experts` int64 `[1]` → experts int64 and gates, `[tokens, k]`, best first. */
export function routingGraph(spec: RouterSpec, experts: number, hiddenSize: number): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input(routingNames.x, DataType.FLOAT, [null, hiddenSize]);
  const k = graph.input(routingNames.activeExperts, DataType.INT64, [1]);
  const routing = router(graph, x, spec, experts, k);
  graph.output(routingNames.experts, routing.experts, DataType.INT64, [null, null]);
  graph.output(routingNames.gates, routing.gates(), DataType.FLOAT, [null, null]);
  return graph.build('routing');
}

export const productNames = { a: 'a', b: 'b', product: 'product' } as const;

/** `a [rows, inner]` · `b [columns, inner]`ᵀ. */
export function productGraph(): Uint8Array {
  const graph = new GraphBuilder();
  const a = graph.input(productNames.a, DataType.FLOAT, [null, null]);
  const b = graph.input(productNames.b, DataType.FLOAT, [null, null]);
  graph.output(productNames.product, graph.node('Gemm', [a, b], { transB: 1 }), DataType.FLOAT, [null, null]);
  return graph.build('product');
}
