import { TensorProto_DataType as DataType } from 'onnx-buf';
import type { AttentionMask, GroupedQueryAttentionSpec, RotarySpec } from '../../families/specification';
import type { GraphBuilder, Value } from '../graphBuilder';
import { rotaryAngles } from './rotaryAngles';

/** Names of the graph inputs and outputs that ONNX Runtime GenAI expects of a decoder. */
export const decoderNames = {
  ids: 'input_ids',
  mask: 'attention_mask',
  positions: 'position_ids',
  logits: 'logits',
  pastKey: (layer: number) => `past_key_values.${layer}.key`,
  pastValue: (layer: number) => `past_key_values.${layer}.value`,
  presentKey: (layer: number) => `present.${layer}.key`,
  presentValue: (layer: number) => `present.${layer}.value`,
  pastConvolution: (layer: number) => `past_conv.${layer}`,
  presentConvolution: (layer: number) => `present_conv.${layer}`,
  /** Chosen experts int64 and gates `[batch · time, k]`, best first; only in graphs that show their routing. */
  routedExperts: (layer: number) => `routing.${layer}.experts`,
  routedGates: (layer: number) => `routing.${layer}.gates`,
} as const;

/** Cosine and sine `[batch · time, rotated / 2]` of the tokens of this run. */
export interface RotaryValues {
  readonly cosine: Value;
  readonly sine: Value;
}

/** Values of the running sequences that the layers share; each is made once, when the first layer asks for it. */
export class SequenceValues {
  /** int64 `[2]`: batch, time. */
  readonly batchTime: Value;
  /** int64 `[batch, time]`: number of the row of each token. */
  readonly rows: Value;
  /** int32 `[batch]`: position of the last token of each sequence, and int32 scalar: columns of the attention mask. */
  readonly lastPositions: Value;
  readonly total: Value;
  private readonly made = new Map<string, Value>();
  private readonly rotaries = new Map<string, RotaryValues>();

  constructor(private readonly graph: GraphBuilder) {
    const { ids, mask } = decoderNames;
    this.batchTime = graph.node('Shape', [ids]);
    const count = graph.node('Size', [ids]);
    const range = graph.node('Range', [graph.integer(0), count, graph.integer(1)]);
    this.rows = graph.node('Reshape', [range, this.batchTime]);
    const lengths = graph.node('ReduceSum', [mask, graph.integers([1])], { keepdims: 0 });
    const last = graph.node('Sub', [lengths, graph.integer(1)]);
    this.lastPositions = graph.node('Cast', [last], { to: DataType.INT32 });
    const columns = graph.node('Gather', [graph.node('Shape', [mask]), graph.integer(1)], { axis: 0 });
    this.total = graph.node('Cast', [columns], { to: DataType.INT32 });
  }

  rotary(spec: RotarySpec): RotaryValues {
    const key = JSON.stringify([spec.dimensions, spec.scaling]);
    const known = this.rotaries.get(key);
    if (known !== undefined) {
      return known;
    }
    const values = rotaryAngles(this.graph, spec, this.flatPositions());
    this.rotaries.set(key, values);
    return values;
  }

  /** Query multipliers `[batch · time, 1]`: 1 + scale · ln(1 + floor((p + 1) / floor)). */
  temperature({ floor, scale }: NonNullable<GroupedQueryAttentionSpec['temperature']>): Value {
    const { graph } = this;
    return this.once(`temperature ${floor} ${scale}`, () => {
      const position = graph.node('Cast', [this.flatPositions()], { to: DataType.FLOAT });
      const ratio = graph.node('Div', [graph.node('Add', [position, graph.float(1)]), graph.float(floor)]);
      const steps = graph.node('Add', [graph.node('Floor', [ratio]), graph.float(1)]);
      const growth = graph.node('Mul', [graph.node('Log', [steps]), graph.float(scale)]);
      return graph.node('Add', [growth, graph.float(1)]);
    });
  }

  /**
   * Additive attention bias `[batch, 1, time, total]` of masks that the attention operator does not know: 0 where a query sees
   * a key of its chunk, a large negative number elsewhere. Undefined where the operator needs none.
   */
  bias(mask: AttentionMask): Value | undefined {
    if (mask.kind !== 'chunked') {
      return undefined;
    }
    const { graph } = this;
    return this.once(`chunked ${mask.chunk}`, () => {
      const chunkOf = (positions: Value) => graph.node('Div', [positions, graph.integer(mask.chunk)]);
      const seen = graph.node('CumSum', [decoderNames.mask, graph.integer(1)]);
      const keys = graph.node('Max', [graph.node('Sub', [seen, graph.integer(1)]), graph.integer(0)]);
      const keyChunk = graph.node('Unsqueeze', [chunkOf(keys), graph.integers([1, 2])]);
      const queryChunk = graph.node('Unsqueeze', [chunkOf(decoderNames.positions), graph.integers([1, 3])]);
      const same = graph.node('Equal', [queryChunk, keyChunk]);
      return graph.node('Where', [same, graph.float(0), graph.float(hidden)]);
    });
  }

  /** Positions int64 `[batch · time, 1]`. */
  private flatPositions(): Value {
    const { graph } = this;
    return this.once('positions', () => graph.node('Reshape', [decoderNames.positions, graph.integers([-1, 1])]));
  }

  private once(key: string, make: () => Value): Value {
    const value = this.made.get(key) ?? make();
    this.made.set(key, value);
    return value;
  }
}

/** Attention score of what must not be seen; finite, because the operator adds it to its own mask. */
const hidden = -1e30;
