import type { Mixer } from './attention';
import { applyLinear, type Linear } from './linear';
import type { Tensor } from './readTensors';

/** The gated short convolution of LFM2: `out(C · conv(B · x))` with a causal kernel for each channel. */
export interface ShortConvolution {
  /** Gives `[3 * hidden]`: B, C, x. */
  readonly input: Linear;
  /** `[hidden, 1, length]`. */
  readonly kernel: Tensor;
  readonly bias: Tensor | undefined;
  readonly output: Linear;
}

export function shortConvolution(convolution: ShortConvolution): Mixer {
  const length = convolution.kernel.shape[2]!;
  return (hidden) => {
    const width = hidden[0]!.length;
    const projected = hidden.map((vector) => applyLinear(convolution.input, vector));
    const gated = projected.map((vector) =>
      Float64Array.from({ length: width }, (_, channel) => vector[channel]! * vector[2 * width + channel]!),
    );
    return projected.map((vector, position) => {
      const mixed = Float64Array.from({ length: width }, (_, channel) => {
        let sum = convolution.bias === undefined ? 0 : convolution.bias.data[channel]!;
        for (let tap = 0; tap < length; tap += 1) {
          const source = position - (length - 1) + tap;
          if (source >= 0) sum += convolution.kernel.data[channel * length + tap]! * gated[source]![channel]!;
        }
        return sum * vector[width + channel]!;
      });
      return applyLinear(convolution.output, mixed);
    });
  };
}
