import { specLinears } from './specLinears';
import type { FeedForwardSpec } from './specification';

/** Parameters of one network, biases included. */
export function networkParameters(network: FeedForwardSpec): number {
  return specLinears(network).reduce(
    (sum, { inputSize, outputSize, bias }) => sum + inputSize * outputSize + (bias ? outputSize : 0),
    0,
  );
}
