import { fromFloat16Bits, toFloat16Bits } from '../../numeric/halfPrecision';
import { TunerError } from '../../protocol/errors';
import { affineCode, affineError, searchAffineLevels, type AffineLevels } from './affineLevels';
import { centredCode, centredError, searchCentredScale } from './centredLevels';
import { ggmlTypes } from './ggmlTypes';
import { superBlockLayouts, superBlockWeights, type SuperBlock, type SuperBlockType } from './superBlockLayouts';

/** Types of super-blocks with a scale and an offset per sub-block: weights of these, the largest code, the largest scale. */
const affineTypes = {
  Q2_K: { weights: 16, top: 3, steps: 15 },
  Q4_K: { weights: 32, top: 15, steps: 63 },
  Q5_K: { weights: 32, top: 31, steps: 63 },
} as const;

/** Types with a signed scale per sub-block: weights of these, codes from -most to most - 1, scales likewise by steps. */
const centredTypes = {
  Q3_K: { weights: 16, most: 4, steps: 32 },
  Q6_K: { weights: 16, most: 32, steps: 128 },
} as const;

/**
 * Rounds rows of weights to super-blocks of 256 (`block_q2_K` to `block_q6_K` of ggml-common.h). Every sub-block gets the levels with
 * the least squared error; one float16 scale for the super-block, and one for its offsets, round these to a few bits, and of the
 * neighbouring steps the best are taken before codes are chosen.
 * @param values row-major, rows a multiple of 256 long
 * @returns super-blocks in order
 * @throws TunerError `internal` for rows of another length, `malformedSafetensors` for weights that are no numbers
 */
export function quantizeSuperBlocks(values: Float32Array, type: SuperBlockType): Uint8Array {
  if (values.length % superBlockWeights !== 0) {
    throw new TunerError('internal', `${values.length} weights are no whole super-blocks of ${superBlockWeights}.`);
  }
  const { bytes } = ggmlTypes[type];
  const blocks = new Uint8Array((values.length / superBlockWeights) * bytes);
  const block: SuperBlock = {
    scale: 0,
    offset: 0,
    scales: new Int16Array(16),
    offsets: new Int16Array(16),
    codes: new Uint8Array(superBlockWeights),
  };
  const scales = new Float64Array(16);
  const offsets = new Float64Array(16);
  const write = superBlockLayouts[type];
  for (let start = 0, at = 0; start < values.length; start += superBlockWeights, at += bytes) {
    assertFinite(values, start, type);
    if (type === 'Q3_K' || type === 'Q6_K') {
      centredBlock(values, start, centredTypes[type], scales, block);
    } else {
      affineBlock(values, start, affineTypes[type], scales, offsets, block);
    }
    write(block, blocks, at);
  }
  return blocks;
}

function affineBlock(
  values: Float32Array,
  start: number,
  { weights, top, steps }: (typeof affineTypes)[keyof typeof affineTypes],
  scales: Float64Array,
  offsets: Float64Array,
  block: SuperBlock,
): void {
  const subBlocks = superBlockWeights / weights;
  const levels: AffineLevels = { scale: 0, offset: 0 };
  let [mostScale, mostOffset] = [0, 0];
  for (let sub = 0; sub < subBlocks; sub += 1) {
    searchAffineLevels(values, start + sub * weights, weights, top, levels);
    scales[sub] = levels.scale;
    offsets[sub] = levels.offset;
    mostScale = Math.max(mostScale, levels.scale);
    mostOffset = Math.max(mostOffset, levels.offset);
  }
  block.scale = toFloat16Bits(mostScale / steps);
  block.offset = toFloat16Bits(mostOffset / steps);
  const [scale, offset] = [fromFloat16Bits(block.scale), fromFloat16Bits(block.offset)];
  for (let sub = 0; sub < subBlocks; sub += 1) {
    const from = start + sub * weights;
    const nearScale = nearestStep(scales[sub]!, scale, steps);
    const nearOffset = nearestStep(offsets[sub]!, offset, steps);
    let least = Infinity;
    for (let one = Math.max(0, nearScale - 1); one <= Math.min(steps, nearScale + 1); one += 1) {
      for (let other = Math.max(0, nearOffset - 1); other <= Math.min(steps, nearOffset + 1); other += 1) {
        const error = affineError(values, from, weights, top, one * scale, other * offset, least);
        if (error < least) {
          least = error;
          block.scales[sub] = one;
          block.offsets[sub] = other;
        }
      }
    }
    const chosen = block.scales[sub]! * scale;
    const inverse = chosen > 0 ? 1 / chosen : 0;
    for (let at = 0; at < weights; at += 1) {
      block.codes[sub * weights + at] = affineCode(values[from + at]!, inverse, block.offsets[sub]! * offset, top);
    }
  }
}

function centredBlock(
  values: Float32Array,
  start: number,
  { weights, most, steps }: (typeof centredTypes)[keyof typeof centredTypes],
  scales: Float64Array,
  block: SuperBlock,
): void {
  const subBlocks = superBlockWeights / weights;
  let extreme = 0;
  for (let sub = 0; sub < subBlocks; sub += 1) {
    const scale = searchCentredScale(values, start + sub * weights, weights, most);
    scales[sub] = scale;
    extreme = Math.abs(scale) > Math.abs(extreme) ? scale : extreme;
  }
  // There is one step more below zero than above: the largest scale takes it.
  block.scale = toFloat16Bits(-extreme / steps);
  const scale = fromFloat16Bits(block.scale);
  for (let sub = 0; sub < subBlocks; sub += 1) {
    const from = start + sub * weights;
    const near = scale === 0 ? 0 : Math.max(-steps, Math.min(steps - 1, Math.round(scales[sub]! / scale)));
    let least = Infinity;
    for (let one = Math.max(-steps, near - 1); one <= Math.min(steps - 1, near + 1); one += 1) {
      const error = centredError(values, from, weights, most, one * scale, least);
      if (error < least) {
        least = error;
        block.scales[sub] = one;
      }
    }
    const chosen = block.scales[sub]! * scale;
    const inverse = chosen === 0 ? 0 : 1 / chosen;
    for (let at = 0; at < weights; at += 1) {
      block.codes[sub * weights + at] = centredCode(values[from + at]!, inverse, most) + most;
    }
  }
}

function nearestStep(value: number, step: number, most: number): number {
  return step === 0 ? 0 : Math.min(most, Math.round(value / step));
}

/** Levels of weights that are infinite or no numbers would be those of the block before. */
function assertFinite(values: Float32Array, start: number, type: SuperBlockType): void {
  for (let at = start; at < start + superBlockWeights; at += 1) {
    if (!Number.isFinite(values[at])) {
      throw new TunerError(
        'malformedSafetensors',
        `Weight ${at} of a matrix is ${values[at]}: ${type} cannot hold it.`,
      );
    }
  }
}
