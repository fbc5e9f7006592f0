import { applyGatedNetwork, type GatedNetwork } from './experts';
import { addScaled, applyLinear, scaled, sigmoid, type Linear } from './linear';
import type { Router, Routing } from './router';

/** A mixture-of-experts block: router, routed experts, and what is added beside them. */
export interface MoeBlock {
  readonly gate: Linear;
  readonly router: Router;
  readonly experts: readonly GatedNetwork[];
  /** k of the configuration. */
  readonly activeExperts: number;
  /** Llama-4 scales what goes into an expert; everybody else what comes out. */
  readonly weightsApplyTo: 'output' | 'input';
  readonly shared?: GatedNetwork | undefined;
  /** The shared output is multiplied by the sigmoid of this layer's one output. */
  readonly sharedGate?: Linear | undefined;
}

export function route(block: MoeBlock, vector: Float64Array, k: number): Routing {
  return block.router(applyLinear(block.gate, vector), k);
}

/** The block's output for one token, with the routing that produced it. */
export function applyMoeBlock(
  block: MoeBlock,
  vector: Float64Array,
  k: number,
): { readonly output: Float64Array; readonly routing: Routing } {
  const routing = route(block, vector, k);
  let output: Float64Array = new Float64Array(vector.length);
  routing.experts.forEach((expert, index) => {
    const weight = routing.weights[index]!;
    const network = block.experts[expert]!;
    output =
      block.weightsApplyTo === 'input'
        ? addScaled(output, applyGatedNetwork(network, scaled(vector, weight)))
        : addScaled(output, applyGatedNetwork(network, vector), weight);
  });
  if (block.shared !== undefined) {
    const gate = block.sharedGate === undefined ? 1 : sigmoid(applyLinear(block.sharedGate, vector)[0]!);
    output = addScaled(output, applyGatedNetwork(block.shared, vector), gate);
  }
  return { output, routing };
}
