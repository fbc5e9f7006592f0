import { sigmoid } from './linear';

/** How the two halves of a gated expert combine, element by element. */
export type GatedActivation = (gate: number, up: number) => number;

const elementwise: Record<string, (value: number) => number> = {
  silu: (value) => value * sigmoid(value),
  swish: (value) => value * sigmoid(value),
  relu: (value) => Math.max(value, 0),
  gelu: (value) => 0.5 * value * (1 + errorFunction(value / Math.SQRT2)),
  gelu_pytorch_tanh: (value) => 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3))),
};

/** `activation(gate) · up` for the activation's name in `config.json`. */
export function gatedBy(name: string): GatedActivation {
  const activation = elementwise[name];
  if (activation === undefined) throw new Error(`Unknown activation ${name}.`);
  return (gate, up) => activation(gate) * up;
}

/** gpt-oss: the gate is clipped above at 7, up to ±7, then `(up + 1) · gate · sigmoid(1.702 · gate)`. */
export const clampedSwiglu: GatedActivation = (gate, up) => {
  const clippedGate = Math.min(gate, 7);
  const clippedUp = Math.min(Math.max(up, -7), 7);
  return (clippedUp + 1) * clippedGate * sigmoid(1.702 * clippedGate);
};

/** The error function by its Taylor series, and its limits beyond |x| = 6 where it is 1 to double precision. */
function errorFunction(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n += 1) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
