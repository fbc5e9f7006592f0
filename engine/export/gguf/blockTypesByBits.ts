import { fitsRows, type GgmlType } from './ggmlTypes';

/**
 * Types that weights are rounded to by the bits of a plan: super-blocks of 256, and where these do not divide the rows, blocks of 32
 * with as many bits or the next more.
 */
const blockTypesByBits: readonly { readonly most: number; readonly types: readonly GgmlType[] }[] = [
  { most: 2, types: ['Q2_K', 'Q4_0'] },
  { most: 3, types: ['Q3_K', 'Q4_0'] },
  { most: 4, types: ['Q4_K', 'Q4_1'] },
  { most: 5, types: ['Q5_K', 'Q5_1'] },
  { most: 6, types: ['Q6_K', 'Q8_0'] },
  { most: 8, types: ['Q8_0'] },
];

/** The type for bits and length of rows; undefined where no blocks divide them, or weights stay in full. */
export function blockTypeOf(
  bits: number,
  columns: number,
): { readonly type: GgmlType; readonly smaller: boolean } | undefined {
  const types = blockTypesByBits.find(({ most }) => bits <= most)?.types;
  const type = types?.find((each) => fitsRows(each, columns));
  return type === undefined ? undefined : { type, smaller: type !== types![0] };
}
