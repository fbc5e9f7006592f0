import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { ShortConvolutionSpec } from '../../families/specification';
import type { GraphBuilder, Value } from '../graphBuilder';
import { linear } from '../linear';
import { decoderNames, type SequenceValues } from './sequenceValues';

/**
 * LFM2's gated short convolution over `x [batch · time, hidden]` with the last `width` gated inputs of every channel as its state
 * `[batch, hidden, width]`, zero before the first token.
 */
export function cachedShortConvolution(
  graph: GraphBuilder,
  x: Value,
  layer: number,
  spec: ShortConvolutionSpec,
  sequence: SequenceValues,
): Value {
  const hidden = spec.input.outputSize / 3;
  const [before, after, state] = graph.split('Split', [linear(graph, x, spec.input)], { axis: 1, num_outputs: 3 }, 3);
  const shape = graph.node('Concat', [sequence.batchTime, graph.integers([hidden])], { axis: 0 });
  const gated = graph.node('Reshape', [graph.node('Mul', [before!, state!]), shape]);
  const channels = graph.node('Transpose', [gated], { perm: [0, 2, 1] });
  const stateShape = [null, hidden, spec.width];
  const past = graph.input(decoderNames.pastConvolution(layer), DataType.FLOAT, stateShape);
  const all = graph.node('Concat', [past, channels], { axis: 2 });
  const last = (value: Value, from: Value) =>
    graph.node('Slice', [value, from, graph.integers([Number.MAX_SAFE_INTEGER]), graph.integers([2])]);
  graph.output(
    decoderNames.presentConvolution(layer),
    last(all, graph.integers([-spec.width])),
    DataType.FLOAT,
    stateShape,
  );

  const kernel = graph.weight(spec.kernel);
  const inputs = spec.kernelBias === undefined ? [all, kernel] : [all, kernel, graph.weight(spec.kernelBias)];
  const convolved = graph.node('Conv', inputs, { group: hidden, kernel_shape: [spec.width] });
  // The first result belongs to the last token of the state.
  const fresh = last(convolved, graph.integers([1]));
  const flat = graph.node('Reshape', [
    graph.node('Transpose', [fresh], { perm: [0, 2, 1] }),
    graph.integers([-1, hidden]),
  ]);
  return linear(graph, graph.node('Mul', [after!, flat]), spec.output);
}
