import type { ActivationSpec } from '../families/specification';
import type { GraphBuilder, Value } from './graphBuilder';

/** Smallest and largest float32: the open ends of a Clip. */
const unbounded = 3.4e38;

/** Non-linearity of a gated network: `gate` and `up` are `[rows, width]`, so is the result. */
export function gatedActivation(graph: GraphBuilder, gate: Value, up: Value, spec: ActivationSpec): Value {
  switch (spec.kind) {
    case 'silu-gated':
      return graph.node('Mul', [silu(graph, gate), up]);
    case 'gelu-gated':
      return graph.node('Mul', [graph.node('Gelu', [gate], { approximate: spec.approximate }), up]);
    case 'relu-gated':
      return graph.node('Mul', [graph.node('Relu', [gate]), up]);
    case 'silu-gated-clipped': {
      const clippedGate = clip(graph, gate, -unbounded, spec.limit);
      return graph.node('Mul', [silu(graph, clippedGate), clip(graph, up, -spec.limit, spec.limit)]);
    }
    case 'silu-gated-limited': {
      const limitedGate = clip(graph, silu(graph, gate), -unbounded, spec.limit);
      return graph.node('Mul', [limitedGate, clip(graph, up, -spec.limit, spec.limit)]);
    }
    case 'clamped-swiglu': {
      const clippedGate = clip(graph, gate, -unbounded, spec.limit);
      const clippedUp = clip(graph, up, -spec.limit, spec.limit);
      const slope = graph.node('Mul', [clippedGate, graph.float(spec.alpha)]);
      const gated = graph.node('Mul', [clippedGate, graph.node('Sigmoid', [slope])]);
      return graph.node('Mul', [graph.node('Add', [clippedUp, graph.float(1)]), gated]);
    }
    case 'relu-squared':
      throw new RangeError('relu-squared is an activation of ungated networks');
  }
}

/** Non-linearity of a network without a gate projection. */
export function ungatedActivation(graph: GraphBuilder, up: Value, spec: ActivationSpec): Value {
  if (spec.kind !== 'relu-squared') {
    throw new RangeError(`${spec.kind} needs a gate projection`);
  }
  const positive = graph.node('Relu', [up]);
  return graph.node('Mul', [positive, positive]);
}

/** SiLU as one fused operator: x · sigmoid(x). */
function silu(graph: GraphBuilder, x: Value): Value {
  return graph.node('QuickGelu', [x], { alpha: { float: 1 } }, { domain: 'com.microsoft' });
}

function clip(graph: GraphBuilder, x: Value, minimum: number, maximum: number): Value {
  return graph.node('Clip', [x, graph.float(minimum), graph.float(maximum)]);
}
