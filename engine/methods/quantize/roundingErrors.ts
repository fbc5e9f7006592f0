import { divideRows, scaleColumns } from './awq';
import { errorOnInputs } from './hessian';
import { dequantize, type QuantizedMatrix } from './quantizedMatrix';
import { projectionMatrix, type ExpertMatrices, type ExpertMoments, type RoundedExpert } from './quantizers';

/** Squared errors of one expert, by position of the bits. Comparable within a unit of a layer. */
export interface UnitErrors {
  readonly gateUp: readonly number[];
  readonly down: readonly number[];
}

/**
 * Errors of roundings of one expert.
 *
 * With moments: tr(D H Dᵀ) of down is the squared error of the output. Errors of a channel of gate or up reach the output through
 * the column of down that reads the channel, so they count by its squared norm; the slope of the activation, much the same for all
 * channels, is left out. Without moments: squared errors relative to the squared weights.
 */
export function roundingErrors(
  expert: ExpertMatrices,
  roundings: readonly RoundedExpert[],
  moments: ExpertMoments | undefined,
): UnitErrors {
  const columns = squaredColumns(expert);
  const gateUp = roundings.map(({ gate, up, channelScales }) => {
    const parts = [
      { change: changeOf(expert, 'gate', gate), values: expert.gate },
      { change: changeOf(expert, 'up', up, channelScales), values: expert.up },
    ].filter(({ change }) => change !== undefined);
    if (moments === undefined) {
      return relative(parts.map(({ change, values }) => [change!, values!]));
    }
    return parts.reduce(
      (sum, { change }) =>
        errorOnInputs(change!, moments.input).reduce((total, error, row) => total + error * columns[row]!, sum),
      0,
    );
  });
  const down = roundings.map(({ down: rounded, channelScales }) => {
    const change = changeOf(expert, 'down', rounded, channelScales);
    if (change === undefined) {
      return 0;
    }
    return moments === undefined
      ? relative([[change, expert.down]])
      : errorOnInputs(change, moments.intermediate).reduce((sum, error) => sum + error, 0);
  });
  return { gateUp, down };
}

/** What rounding changes a projection by, in the scale of the original weights. */
export function changeOf(
  expert: ExpertMatrices,
  projection: 'gate' | 'up' | 'down',
  rounded: QuantizedMatrix | undefined,
  channelScales?: Float32Array,
): Float32Array | undefined {
  const matrix = projectionMatrix(expert, projection);
  if (matrix === undefined || rounded === undefined) {
    return undefined;
  }
  const plain = dequantize(rounded);
  const inverse = channelScales?.map((scale) => 1 / scale);
  const values =
    inverse === undefined || projection === 'gate'
      ? plain
      : projection === 'up'
        ? divideRows(plain, inverse)
        : scaleColumns(plain, inverse);
  for (let at = 0; at < values.length; at += 1) {
    values[at]! -= matrix.values[at]!;
  }
  return values;
}

/** Σ ‖change‖² / Σ ‖values‖². */
export function relative(pairs: readonly (readonly [Float32Array, Float32Array])[]): number {
  let [error, size] = [0, 0];
  for (const [change, values] of pairs) {
    for (let at = 0; at < values.length; at += 1) {
      error += change[at]! ** 2;
      size += values[at]! ** 2;
    }
  }
  return size > 0 ? error / size : 0;
}

/** Squared norm of every column of down, `[width]`. */
function squaredColumns({ down, width }: ExpertMatrices): Float64Array {
  const sums = new Float64Array(width);
  for (let at = 0; at < down.length; at += 1) {
    sums[at % width]! += down[at]! ** 2;
  }
  return sums;
}
