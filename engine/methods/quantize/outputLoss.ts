import { errorOnInputs, type InputMoments } from './hessian';
import { projections, type ExpertMatrices, type ExpertMoments, type Projection } from './quantizers';
import { relative } from './roundingErrors';

/**
 * How far other weights of an expert are from its own: ‖x·(Ŵ - W)ᵀ‖² / ‖x·Wᵀ‖² on its inputs, as the mean over its projections;
 * ‖Ŵ - W‖² / ‖W‖² where the inputs are not known.
 * @param approximation other weights of a projection
 */
export function outputLoss(
  expert: ExpertMatrices,
  moments: ExpertMoments | undefined,
  approximation: (projection: Projection, values: Float32Array) => Float32Array,
): number {
  const losses: number[] = [];
  for (const projection of projections) {
    const values = expert[projection];
    if (values !== undefined) {
      const change = approximation(projection, values).map((value, at) => value - values[at]!);
      const inputs = projection === 'down' ? moments?.intermediate : moments?.input;
      losses.push(inputs === undefined ? relative([[change, values]]) : onInputs(change, values, inputs));
    }
  }
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

function onInputs(change: Float32Array, values: Float32Array, inputs: InputMoments): number {
  const sum = (matrix: Float32Array) => errorOnInputs(matrix, inputs).reduce((total, row) => total + row, 0);
  const size = sum(values);
  return size > 0 ? sum(change) / size : 0;
}
