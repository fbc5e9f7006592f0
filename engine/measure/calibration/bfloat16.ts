import { toFloat32 } from '../../checkpoint/convertDtype';
import { fromFloat32 } from '../../checkpoint/encodeDtype';

/** Rounds values in place to what the statistics file keeps, so that a run and its file say the same. */
export function roundToBfloat16(values: Float32Array): void {
  values.set(toFloat32('BF16', fromFloat32('BF16', values)));
}
