import type { CodeType } from '../../methods/quantize/ggmlBlocks';
import type { ExpertBits } from '../../methods/quantize/quantizers';
import type { GgufBlocks } from '../../protocol/apply';
import { blockTypeOf } from './blockTypesByBits';
import { fitsRows, type GgmlType } from './ggmlTypes';
import type { MatrixPart } from './matrixPieces';
import { codeFit, type CodeFit } from './storedBlocks';

/** Bits of the experts of a decoder layer in order; undefined where a plan rounds none. */
export type ExpertBitsOf = (layer: number) => readonly ExpertBits[] | undefined;

/** What a plan rounds. */
export interface PlannedRounding {
  /**
   * `codes`: the weights of the model are the plan's codes, which blocks keep; `k-quants`: they are not rounded yet, and are rounded to
   * super-blocks of about as many bits.
   */
  readonly form: GgufBlocks;
  readonly experts: ExpertBitsOf;
  /** Bits of attention, dense layers and shared experts; 16 leaves them. */
  readonly others: number;
}

/** The type of a tensor, and what it does to the codes of a plan. */
export interface ChosenType {
  readonly type: GgmlType;
  /** The worst of all matrices in the tensor; absent where none is rounded. */
  readonly fit?: CodeFit | 'float' | 'rounded once' | undefined;
  /** Matrices have different bits. */
  readonly mixed?: boolean;
  /** Super-blocks do not divide the rows, so the type has blocks of 32. */
  readonly smallBlocks?: boolean;
}

/** From best to worst. */
const fits: readonly ChosenType['fit'][] = ['exact', 'rounded offsets', 'float', 'rounded again'];

/**
 * The type of a tensor of one or more matrices: of the most bits among them, since a tensor has one type. Codes of up to 4 bits become
 * Q4_0, with zero points Q4_1; up to 8 bits Q8_0; matrices that stay in full, or whose rows blocks do not divide, the plain type.
 * Weights that are yet to be rounded get super-blocks by their bits.
 * @param plain type of weights that are not rounded
 */
export function chooseType(parts: readonly MatrixPart[], plain: GgmlType): ChosenType {
  if (parts.some(({ wantedBits }) => wantedBits !== undefined)) {
    return chooseByBits(parts, plain);
  }
  const widths = parts.map(bitsOf);
  if (widths.every((bits) => bits === undefined)) {
    return { type: plain };
  }
  const most = Math.max(...widths.map((bits) => bits ?? 16));
  const mixed = new Set(widths).size > 1;
  const columns = parts[0]!.linear.inputSize;
  const type = most > 8 ? undefined : codeType(parts, most);
  if (type === undefined || !fitsRows(type, columns)) {
    return { type: plain === 'MXFP4' ? 'BF16' : plain, fit: 'float', mixed };
  }
  const reached = parts.map(({ linear: { weight }, bits }) =>
    weight.storage === 'block-quantized' ? codeFit(weight, bits ?? weight.bits, type) : 'rounded again',
  );
  return { type, fit: fits[Math.max(...reached.map((fit) => fits.indexOf(fit)))], mixed };
}

/** The type for weights that are not rounded yet, of the most bits among them. */
function chooseByBits(parts: readonly MatrixPart[], plain: GgmlType): ChosenType {
  const widths = parts.map(({ wantedBits }) => wantedBits ?? 16);
  const mixed = new Set(widths).size > 1;
  const found = blockTypeOf(Math.max(...widths), parts[0]!.linear.inputSize);
  return found === undefined
    ? { type: plain, fit: 'float', mixed }
    : { type: found.type, fit: 'rounded once', mixed, smallBlocks: found.smaller };
}

function codeType(parts: readonly MatrixPart[], most: number): CodeType {
  if (most > 4) {
    return 'Q8_0';
  }
  const offsets = parts.some(
    ({ linear: { weight }, bits }) =>
      weight.storage === 'block-quantized' && weight.zeroPoints !== undefined && (bits ?? weight.bits) === 4,
  );
  return offsets ? 'Q4_1' : 'Q4_0';
}

function bitsOf({ linear: { weight }, bits }: MatrixPart): number | undefined {
  return weight.storage === 'block-quantized' ? (bits ?? weight.bits) : undefined;
}
