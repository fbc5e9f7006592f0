import type { FeedForwardSpec } from '../../families/specification';
import type { Projection } from '../../methods/quantize/quantizers';
import { TunerError } from '../../protocol/errors';
import type { MatrixPart } from './matrixPieces';

/** A projection of a feed-forward network as rows of the linear map that holds it, whatever the layout. */
export function expertProjection(network: FeedForwardSpec, projection: Projection): MatrixPart {
  if (projection === 'down') {
    return { linear: network.down };
  }
  switch (network.layout) {
    case 'gated':
      return { linear: network[projection] };
    case 'ungated':
      if (projection === 'up') {
        return { linear: network.up };
      }
      throw new TunerError('internal', 'A network without a gate was asked for it.');
    case 'fused-gated': {
      const { gateUp, arrangement } = network;
      const half = gateUp.outputSize / 2;
      const first = projection === 'gate' ? 0 : arrangement === 'concatenated' ? half : 1;
      const step = arrangement === 'concatenated' ? 1 : 2;
      return { linear: gateUp, rows: Int32Array.from({ length: half }, (_, at) => first + step * at) };
    }
  }
}
