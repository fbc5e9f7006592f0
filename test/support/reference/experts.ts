import type { GatedActivation } from './activations';
import type { ReferenceCheckpoint } from './checkpoint';
import { decodeFloat4E2M1 } from './decodeValues';
import { applyLinear, elements, rows, slice, transpose, type Linear } from './linear';
import type { Tensor } from './readTensors';

/** A gated feed-forward network: `down(activation(gate(x), up(x)))`. */
export interface GatedNetwork {
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
  readonly activation: GatedActivation;
}

export function applyGatedNetwork(network: GatedNetwork, vector: Float64Array): Float64Array {
  const gate = applyLinear(network.gate, vector);
  const up = applyLinear(network.up, vector);
  return applyLinear(
    network.down,
    gate.map((value, index) => network.activation(value, up[index]!)),
  );
}

/** One network with its three projections under the given names (`gate_proj`/`up_proj`/`down_proj` or `w1`/`w3`/`w2`). */
export function namedNetwork(
  checkpoint: ReferenceCheckpoint,
  prefix: string,
  activation: GatedActivation,
  names: readonly [gate: string, up: string, down: string] = ['gate_proj', 'up_proj', 'down_proj'],
): GatedNetwork {
  const [gate, up, down] = names.map((name) => checkpoint.linear(`${prefix}.${name}`));
  return { gate: gate!, up: up!, down: down!, activation };
}

/** Names of the per-expert layout that Mixtral started: w1 is the gate, w3 goes up, w2 down. */
export const mixtralNames = ['w1', 'w3', 'w2'] as const;

/** Layouts L1 and L2: every expert has its own three matrices. */
export function separateExperts(
  checkpoint: ReferenceCheckpoint,
  prefix: string,
  count: number,
  activation: GatedActivation,
  names?: readonly [string, string, string],
): GatedNetwork[] {
  return Array.from({ length: count }, (_, expert) =>
    namedNetwork(checkpoint, `${prefix}.${expert}`, activation, names),
  );
}

/** Separate experts, or the stacked tensors that newer files hold under the same prefix, in either orientation. */
export function separateOrStackedExperts(
  checkpoint: ReferenceCheckpoint,
  prefix: string,
  count: number,
  activation: GatedActivation,
): GatedNetwork[] {
  if (!checkpoint.has(`${prefix}.gate_up_proj`)) return separateExperts(checkpoint, prefix, count, activation);
  const gateUp = checkpoint.tensor(`${prefix}.gate_up_proj`);
  const down = checkpoint.tensor(`${prefix}.down_proj`);
  const outputMajor = down.shape[1] === checkpoint.config.number('hidden_size');
  return (outputMajor ? stackedExperts : transposedExperts)(gateUp, down, activation);
}

/** Layout L3: gate and up stacked as `[E, 2I, H]`, down `[E, H, I]`. */
export function stackedExperts(gateUp: Tensor, down: Tensor, activation: GatedActivation): GatedNetwork[] {
  const [count, doubled] = [gateUp.shape[0]!, gateUp.shape[1]!];
  return Array.from({ length: count }, (_, expert) => {
    const both = slice(gateUp, expert);
    return {
      gate: plain(rows(both, 0, doubled / 2)),
      up: plain(rows(both, doubled / 2, doubled / 2)),
      down: plain(slice(down, expert)),
      activation,
    };
  });
}

/** Layout L4: input-major, gate and up side by side as `[E, H, 2I]`, down `[E, I, H]`. */
export function transposedExperts(gateUp: Tensor, down: Tensor, activation: GatedActivation): GatedNetwork[] {
  return stackedExperts(transposeEach(gateUp), transposeEach(down), activation);
}

/** Layout L5: `[E, H, 2I]` with gate and up in alternate columns, `[E, I, H]`, and a bias for both. */
export function interleavedExperts(
  gateUp: Tensor,
  gateUpBias: Tensor,
  down: Tensor,
  downBias: Tensor,
  activation: GatedActivation,
): GatedNetwork[] {
  const [count, width] = [gateUp.shape[0]!, gateUp.shape[2]! / 2];
  return Array.from({ length: count }, (_, expert) => {
    const both = transpose(slice(gateUp, expert));
    const bias = slice(gateUpBias, expert);
    return {
      gate: { weight: rows(both, 0, width, 2), bias: elements(bias, 0, width, 2) },
      up: { weight: rows(both, 1, width, 2), bias: elements(bias, 1, width, 2) },
      down: { weight: transpose(slice(down, expert)), bias: slice(downBias, expert) },
      activation,
    };
  });
}

/** Layout L6 (DBRX): each of w1, v1, w2 is `[E * I, H]`; w2 is used without transposing it. */
export function flatExperts(
  gate: Tensor,
  up: Tensor,
  down: Tensor,
  count: number,
  activation: GatedActivation,
): GatedNetwork[] {
  const width = gate.shape[0]! / count;
  return Array.from({ length: count }, (_, expert) => ({
    gate: plain(rows(gate, expert * width, width)),
    up: plain(rows(up, expert * width, width)),
    down: plain(transpose(rows(down, expert * width, width))),
    activation,
  }));
}

/** Layout L7: one three-dimensional tensor for each projection, `[E, I, H]`, `[E, I, H]`, `[E, H, I]`. */
export function projectionStackedExperts(
  gate: Tensor,
  up: Tensor,
  down: Tensor,
  activation: GatedActivation,
): GatedNetwork[] {
  return Array.from({ length: gate.shape[0]! }, (_, expert) => ({
    gate: plain(slice(gate, expert)),
    up: plain(slice(up, expert)),
    down: plain(slice(down, expert)),
    activation,
  }));
}

/**
 * MXFP4: `blocks` `[E, rows, groups, 16]` hold two 4-bit floats a byte, the low half first; `scales` `[E, rows, groups]`
 * are powers of two with a bias of 127. Gives `[E, groups * 32, rows]`, the input-major shape of the bf16 files.
 */
export function decodeMxfp4(blocks: Tensor, scales: Tensor): Tensor {
  const [count, height, groups, bytes] = blocks.shape as [number, number, number, number];
  const width = groups * bytes * 2;
  const data = new Float64Array(count * width * height);
  for (let at = 0; at < blocks.data.length; at += 1) {
    const group = Math.floor(at / bytes);
    const row = Math.floor(group / groups);
    const expert = Math.floor(row / height);
    const column = (group % groups) * bytes * 2 + (at % bytes) * 2;
    const factor = 2 ** (scales.data[group]! - 127);
    const target = (input: number) => (expert * width + input) * height + (row % height);
    data[target(column)] = decodeFloat4E2M1(blocks.data[at]! & 15) * factor;
    data[target(column + 1)] = decodeFloat4E2M1(blocks.data[at]! >> 4) * factor;
  }
  return { shape: [count, width, height], data };
}

function transposeEach(tensor: Tensor): Tensor {
  const [count, height, width] = tensor.shape as [number, number, number];
  const data = new Float64Array(tensor.data.length);
  for (let expert = 0; expert < count; expert += 1) {
    data.set(transpose(slice(tensor, expert)).data, expert * height * width);
  }
  return { shape: [count, width, height], data };
}

function plain(weight: Tensor): Linear {
  return { weight, bias: undefined };
}
