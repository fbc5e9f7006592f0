import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { RotarySpec } from '../../families/specification';
import type { GraphBuilder, Value } from '../graphBuilder';
import { inverseFrequencies, type Frequencies } from '../rotaryTables';

/**
 * Cosine and sine `[tokens, dimensions / 2]` of the given positions (int64 `[tokens, 1]`), computed while the graph runs: a table of
 * all positions of a long-context model would be larger than its layers. Angles are float64, as position · frequency in float32
 * is off by several thousandths past position 100,000.
 */
export function rotaryAngles(
  graph: GraphBuilder,
  spec: RotarySpec,
  positions: Value,
): { readonly cosine: Value; readonly sine: Value } {
  const { scaling, dimensions } = spec;
  const short = inverseFrequencies(scaling, dimensions, 0);
  const values = circle(graph, short, positions);
  if (scaling.kind !== 'longrope') {
    return values;
  }
  const long = circle(graph, inverseFrequencies(scaling, dimensions, scaling.originalPositions + 1), positions);
  const last = graph.node('ReduceMax', [positions], { keepdims: 0 });
  const isLong = graph.node('GreaterOrEqual', [last, graph.integer(scaling.originalPositions)]);
  const choose = (whenLong: Value, otherwise: Value) => graph.node('Where', [isLong, whenLong, otherwise]);
  return { cosine: choose(long.cosine, values.cosine), sine: choose(long.sine, values.sine) };
}

/**
 * Positions up to which these angles are those of the model. Dynamic scaling (NTK-aware, as Transformers computes it) makes the frequencies
 * depend on the length of the whole sequence: past `maxPositions` every new token would turn the keys that a cache already
 * holds, so a graph with a cache is exact up to there only. `genai_config.json` states the limit as its context length.
 */
export function exactPositions({ scaling }: RotarySpec): number {
  return scaling.kind === 'dynamic' ? scaling.maxPositions : Infinity;
}

function circle(graph: GraphBuilder, { frequencies, magnitude }: Frequencies, positions: Value) {
  const exact = graph.node('Cast', [positions], { to: DataType.DOUBLE });
  const angles = graph.node('Mul', [exact, graph.doubles(frequencies, [1, frequencies.length])]);
  const part = (operator: 'Cos' | 'Sin') => {
    const value = graph.node('Cast', [graph.node(operator, [angles])], { to: DataType.FLOAT });
    return magnitude === 1 ? value : graph.node('Mul', [value, graph.float(magnitude)]);
  };
  return { cosine: part('Cos'), sine: part('Sin') };
}
