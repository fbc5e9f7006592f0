import type { ShortConvolutionSpec } from '../families/specification';
import type { SequenceValues } from './attention';
import type { GraphBuilder, Value } from './graphBuilder';
import { linear } from './linear';

/**
 * LFM2's gated short convolution over `x [batch · time, hidden]`: the input projection gives B, C and z;
 * the result is output(C · causal_convolution(B · z)).
 */
export function shortConvolution(
  graph: GraphBuilder,
  x: Value,
  spec: ShortConvolutionSpec,
  sequence: SequenceValues,
): Value {
  const hidden = spec.input.outputSize / 3;
  const projected = linear(graph, x, spec.input);
  const part = (at: number) =>
    graph.node('Slice', [
      projected,
      graph.integers([at * hidden]),
      graph.integers([(at + 1) * hidden]),
      graph.integers([1]),
    ]);
  const gated = graph.node('Reshape', [graph.node('Mul', [part(0), part(2)]), sequence.shape]);
  const channels = graph.node('Transpose', [gated], { perm: [0, 2, 1] });
  const kernel = graph.weight(spec.kernel);
  const inputs = spec.kernelBias === undefined ? [channels, kernel] : [channels, kernel, graph.weight(spec.kernelBias)];
  const convolved = graph.node('Conv', inputs, {
    group: hidden,
    pads: [spec.width - 1, 0],
    kernel_shape: [spec.width],
  });
  const flat = graph.node('Reshape', [
    graph.node('Transpose', [convolved], { perm: [0, 2, 1] }),
    graph.integers([-1, hidden]),
  ]);
  return linear(graph, graph.node('Mul', [part(1), flat]), spec.output);
}
