import { activationAware, divideRows } from './awq';
import { compensatedRounding } from './gptq';
import { compensationFactor, type InputMoments } from './hessian';
import { halfQuadratic } from './hqq';
import type { ProjectionGroups } from './projectionGroups';
import {
  emptyQuantized,
  type CodeBits,
  type Matrix,
  type QuantizedMatrix,
  type RoundingFormat,
} from './quantizedMatrix';
import { encodeGroup, roundToNearest } from './roundToNearest';
import { searchLevels } from './scaleSearch';

/** Linear maps of an expert, in the order of tables; networks without a gate projection have two. */
export const projections = ['gate', 'up', 'down'] as const;

export type Projection = (typeof projections)[number];

/** An expert as numbers: gate and up `[width, hidden]`, down `[hidden, width]`, row-major. */
export interface ExpertMatrices {
  readonly hiddenSize: number;
  readonly width: number;
  readonly gate?: Float32Array | undefined;
  readonly up: Float32Array;
  readonly down: Float32Array;
}

/** What calibration saw of one expert. */
export interface ExpertMoments {
  /** Of the inputs of gate and up, `[hidden, hidden]`. */
  readonly input: InputMoments;
  /** Of the inputs of down, `[width, width]`. */
  readonly intermediate: InputMoments;
}

/** Bits of every projection; 16 leaves it as it is. */
export type ExpertBits = Readonly<Record<Projection, CodeBits | 16>>;

/** Projections that are rounded; those that stay as they are are absent. */
export interface RoundedExpert {
  readonly gate?: QuantizedMatrix | undefined;
  readonly up?: QuantizedMatrix | undefined;
  readonly down?: QuantizedMatrix | undefined;
  /** Rows of up, and its bias, were divided by these numbers before rounding, and columns of down multiplied. */
  readonly channelScales?: Float32Array | undefined;
}

/** How one expert is rounded. */
export interface ExpertRounding {
  readonly bits: ExpertBits;
  readonly groups: ProjectionGroups;
  readonly symmetric: boolean;
  /** Whether a channel between up and down may be scaled without changing the network: not through a clipped activation. */
  readonly scalableChannels: boolean;
}

/** A published way to round the weights of experts. */
export interface Quantizer {
  readonly title: string;
  /** `weights`: from the weights alone; `moments`: needs the second moments of calibration inputs. */
  readonly needs: 'weights' | 'moments';
  /** Tokens count by this power of their gate in the moments. */
  readonly gatePower: 0 | 0.5 | 1;
  /** Experts with little text borrow from the whole layer (expert-balanced calibration). */
  readonly balanced: boolean;
  round(expert: ExpertMatrices, rounding: ExpertRounding, moments: ExpertMoments | undefined): RoundedExpert;
}

/** Every quantizer by the name the command line and plans give it. */
export const quantizers = {
  rtn: {
    title: 'Round to nearest',
    needs: 'weights',
    gatePower: 0,
    balanced: false,
    round: (expert, rounding) => roundEach(expert, rounding, roundToNearest),
  },
  hqq: {
    title: 'Half-quadratic quantization',
    needs: 'weights',
    gatePower: 0,
    balanced: false,
    round: (expert, rounding) => roundEach(expert, rounding, halfQuadratic),
  },
  gptq: {
    title: 'GPTQ, one Hessian per expert',
    needs: 'moments',
    gatePower: 0,
    balanced: false,
    round: compensateErrors,
  },
  awq: {
    title: 'Activation-aware scales between up and down',
    needs: 'moments',
    gatePower: 0,
    balanced: false,
    round: scaleByActivations,
  },
  eaquant: {
    title: 'GPTQ on expert-balanced calibration, tokens weighted by their gates',
    needs: 'moments',
    gatePower: 0.5,
    balanced: true,
    round: compensateErrors,
  },
} as const satisfies Record<string, Quantizer>;

export type QuantizerName = keyof typeof quantizers;

/** The matrix of one projection. */
export function projectionMatrix(expert: ExpertMatrices, projection: Projection): Matrix | undefined {
  const { hiddenSize, width } = expert;
  const values = expert[projection];
  const [rows, columns] = projection === 'down' ? [hiddenSize, width] : [width, hiddenSize];
  return values === undefined ? undefined : { values, rows, columns };
}

function roundEach(
  expert: ExpertMatrices,
  { bits, groups, symmetric }: ExpertRounding,
  round: (matrix: Matrix, format: RoundingFormat, projection: Projection) => QuantizedMatrix,
): RoundedExpert {
  const rounded: Partial<Record<Projection, QuantizedMatrix>> = {};
  for (const projection of projections) {
    const matrix = projectionMatrix(expert, projection);
    const wanted = bits[projection];
    if (matrix !== undefined && wanted !== 16) {
      rounded[projection] = round(matrix, { bits: wanted, group: groups[projection], symmetric }, projection);
    }
  }
  return rounded;
}

/** GPTQ on every projection; experts without calibration tokens are rounded to nearest. */
function compensateErrors(
  expert: ExpertMatrices,
  rounding: ExpertRounding,
  moments: ExpertMoments | undefined,
): RoundedExpert {
  if (moments === undefined) {
    return roundEach(expert, rounding, roundToNearest);
  }
  const { bits } = rounding;
  const input = bits.gate === 16 && bits.up === 16 ? undefined : compensationFactor(moments.input);
  const intermediate = bits.down === 16 ? undefined : compensationFactor(moments.intermediate);
  return roundEach(expert, rounding, (matrix, format, projection) =>
    compensatedRounding(matrix, format, (projection === 'down' ? intermediate : input)!),
  );
}

/**
 * AWQ inside an expert. Inputs of gate and up are shared by all experts and the router, so they cannot be scaled for one expert
 * alone; their levels are chosen by the activations instead. The channels between up and down are the expert's own.
 */
function scaleByActivations(
  expert: ExpertMatrices,
  rounding: ExpertRounding,
  moments: ExpertMoments | undefined,
): RoundedExpert {
  if (moments === undefined) {
    return roundEach(expert, rounding, roundToNearest);
  }
  const { bits, groups, symmetric, scalableChannels } = rounding;
  const inputs = diagonal(moments.input);
  const intermediates = diagonal(moments.intermediate);
  const { down } = bits;
  const scaled =
    scalableChannels && down !== 16 && bits.up !== 16
      ? activationAware(projectionMatrix(expert, 'down')!, moments.intermediate, (matrix) =>
          weightedRounding(matrix, { bits: down, group: groups.down, symmetric }, intermediates),
        )
      : undefined;
  const before = scaled === undefined ? expert : { ...expert, up: divideRows(expert.up, scaled.scales) };
  const rounded = roundEach(before, rounding, (matrix, format, projection) =>
    weightedRounding(matrix, format, projection === 'down' ? intermediates : inputs),
  );
  return scaled === undefined ? rounded : { ...rounded, down: scaled.matrix, channelScales: scaled.scales };
}

function diagonal({ size, moments }: InputMoments): Float64Array {
  return Float64Array.from({ length: size }, (_, at) => moments[at * size + at]!);
}

/** Rounding to the nearest of the levels with the least error weighted by the inputs. */
export function weightedRounding(
  { values, rows, columns }: Matrix,
  format: RoundingFormat,
  importance?: ArrayLike<number>,
): QuantizedMatrix {
  const result = emptyQuantized(rows, columns, format);
  const { group, bits, symmetric } = format;
  for (let inGroup = 0, start = 0; start < values.length; inGroup += 1, start += group) {
    const levels = searchLevels(values, start, group, bits, symmetric, importance, start % columns);
    result.scales[inGroup] = levels.scale;
    if (result.zeroPoints !== undefined) {
      result.zeroPoints[inGroup] = levels.zero;
    }
    encodeGroup(values, start, group, levels.scale, levels.zero, 2 ** bits - 1, result.codes);
  }
  return result;
}
