import { isJsonObject } from './jsonText';

/** Characters of a part: long enough that the checks cost nothing, short enough to stop early in a long text. */
const partLength = 32_768;

/** How far behind the wanted place a cut is looked for, and how much text on both sides decides whether it is safe. */
const searchLength = 4_096;
const contextLength = 256;

/** A word, and a space with a letter behind it: common pre-tokenizers begin a new token at the space. */
const wordBoundary = /\p{L}(?= \p{L})/u;

/**
 * Splits a long text into parts whose token ids, joined, are those of the whole text; a text that cannot be split safely
 * stays whole. The caller must know that the tokenizer works word by word ({@link splitsIntoWords}); then a cut is safe
 * where the text around it gives the same ids with and without the cut.
 */
export function* splitText(text: string, encode: (text: string) => readonly number[]): Generator<string> {
  let start = 0;
  while (text.length - start > partLength + searchLength) {
    const cut = findCut(text, start + partLength, encode);
    if (cut === undefined) {
      break;
    }
    yield text.slice(start, cut);
    start = cut;
  }
  yield text.slice(start);
}

function findCut(text: string, from: number, encode: (text: string) => readonly number[]): number | undefined {
  let searched = from;
  for (;;) {
    const found = wordBoundary.exec(text.slice(searched, from + searchLength));
    if (found === null) {
      return undefined;
    }
    const cut = searched + found.index + found[0].length;
    const before = text.slice(cut - contextLength, cut);
    const after = text.slice(cut, cut + contextLength);
    if (sameIds(encode(before + after), [...encode(before), ...encode(after)])) {
      return cut;
    }
    searched = cut;
  }
}

function sameIds(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((id, at) => id === right[at]);
}

/** Whether the pre-tokenizer of a `tokenizer.json` cuts texts into words by a pattern before anything is merged. */
export function splitsIntoWords(preTokenizer: unknown): boolean {
  if (!isJsonObject(preTokenizer)) {
    return false;
  }
  const { type, pretokenizers, use_regex: usesPattern } = preTokenizer;
  if (type === 'Sequence') {
    return Array.isArray(pretokenizers) && pretokenizers.some(splitsIntoWords);
  }
  return type === 'Split' || (type === 'ByteLevel' && usesPattern !== false);
}
