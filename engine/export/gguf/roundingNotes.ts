import type { PlannedRounding } from './chooseTypes';
import type { GgufTensor } from './modelTensors';

/** What happened to the weights that a plan rounds on their way into blocks. */
export function roundingNotes(tensors: readonly GgufTensor[], { form }: PlannedRounding): string[] {
  const rounded = tensors.filter(({ rounding }) => rounding !== undefined);
  const having = (fit: NonNullable<GgufTensor['rounding']>['fit']) =>
    rounded.filter(({ rounding }) => rounding?.fit === fit);
  const again = having('rounded again');
  const small = rounded.filter(({ rounding }) => rounding?.smallBlocks === true);
  const types = [...new Set(rounded.map(({ type }) => type))].join(', ');
  return [
    rounded.length > 0 ? `Rounded weights are stored as ${types}.` : undefined,
    form === 'k-quants'
      ? 'Only the bits of the plan are taken: the weights that it rounds were rounded once, from their full precision, to the types of llama.cpp with these bits. What was measured of the plan are its own codes; the file differs from them a little, for the better in most cases.'
      : undefined,
    small.length > 0
      ? `Super-blocks of 256 weights do not divide the rows of ${small.length} tensors (${small[0]!.name} has ${small[0]!.shape[0]} in a row, …): these have blocks of 32, with as many bits as the plan or more.`
      : undefined,
    again.length > 0
      ? `The scales of ${again.length} tensors (${again[0]!.name}, …) do not fit the blocks of 32 weights of GGUF files, so their weights are rounded once more. A plan with groups of 32, 64 or 128 avoids that.`
      : undefined,
    having('float').length > 0
      ? `Rounded weights of ${having('float').length} tensors are stored in full: blocks of 32 weights do not divide their rows, or some of their experts are not rounded.`
      : undefined,
    having('rounded offsets').length > 0
      ? 'Offsets of codes with zero points are float16 numbers of their own in GGUF files: they differ in the last digits from those that were measured. Symmetric codes are stored exactly.'
      : undefined,
    rounded.some(({ rounding }) => rounding?.mixed === true)
      ? 'A GGUF file has one type for all experts of a tensor: where experts differ in bits, all have the type of the most.'
      : undefined,
  ].filter((note) => note !== undefined);
}
