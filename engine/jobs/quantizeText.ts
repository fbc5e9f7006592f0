import type { QuantizeParams } from '../protocol/quantization';
import { calibrationText } from './calibrationText';
import type { OpenModel } from './openModel';

/** Every n-th window is not calibrated on, so that what is measured there is not what was fitted. */
const heldEvery = 4;

/** Text in two parts that share no window. */
export interface QuantizeText {
  readonly calibration: readonly Int32Array[];
  readonly held: readonly Int32Array[];
  /** Of both parts. */
  readonly tokens: number;
}

/**
 * Calibration text cut into windows, one in four of them held out for measuring; a single window serves for both.
 * @throws TunerError `missingTokenizer`, `malformedText`
 */
export async function quantizeText(model: OpenModel, params: QuantizeParams): Promise<QuantizeText> {
  const { sequences, tokens } = await calibrationText(model, params);
  const held = sequences.filter((_, at) => at % heldEvery === heldEvery - 1);
  if (held.length === 0) {
    return { calibration: sequences, held: sequences, tokens };
  }
  return { calibration: sequences.filter((_, at) => at % heldEvery !== heldEvery - 1), held, tokens };
}
