import type { FeedForwardSpec, LinearSpec } from './specification';

/** The linear maps of a feed-forward network in a fixed order. */
export function specLinears(network: FeedForwardSpec): LinearSpec[] {
  switch (network.layout) {
    case 'gated':
      return [network.gate, network.up, network.down];
    case 'fused-gated':
      return [network.gateUp, network.down];
    case 'ungated':
      return [network.up, network.down];
  }
}
