import { isJsonObject } from '../../checkpoint/jsonText';
import type { ConfigObject } from '../../checkpoint/types';
import type { TokenizerDefinition } from './tokenizerMetadata';

/** Score of tokens that no merge makes: never better than one that is made. */
const neverMerged = -1e9;

/**
 * Scores with which llama.cpp joins neighbours in the order of the merges: it takes the pair whose joined text has the highest score, the
 * tokenizer the pair of the earliest merge.
 */
export function sentencePieceScores({ model }: TokenizerDefinition, tokens: readonly string[]): number[] {
  const scores = new Map<string, number>();
  for (const [rank, merge] of model.merges.entries()) {
    const joined = typeof merge === 'string' ? merge.replace(' ', '') : merge.join('');
    if (!scores.has(joined)) {
      scores.set(joined, -rank);
    }
  }
  return tokens.map((token) => scores.get(token) ?? neverMerged);
}

/** Whether a space is put before a text. */
export function spacePrefix(definition: ConfigObject): boolean {
  return stepsOf(definition['normalizer']).some(isPrefix) || metaspaces(definition).some(putsPrefix);
}

/**
 * What llama.cpp would do differently with a tokenizer of SentencePiece: it puts at most a space before a text, spells spaces as `▁`,
 * and cuts nothing before it merges.
 * @param definition content of `tokenizer.json`
 * @returns the key that differs, and how; undefined where nothing does
 */
export function sentencePieceRefusal(
  definition: ConfigObject,
): { readonly place: string; readonly reason: string } | undefined {
  const normalizers = stepsOf(definition['normalizer']);
  const cuts = stepsOf(definition['pre_tokenizer']);
  const other = normalizers.find((step) => !isPrefix(step) && !spellsSpaces(step));
  if (other !== undefined) {
    return { place: 'normalizer', reason: `llama.cpp does not normalise texts like this (${String(other['type'])})` };
  }
  const cut = cuts.find((step) => step['type'] !== 'Metaspace' && !cutsAtSpaces(step));
  if (cut !== undefined) {
    return { place: 'pre_tokenizer', reason: `llama.cpp cuts nothing before it merges (${String(cut['type'])})` };
  }
  if (!normalizers.some(spellsSpaces) && metaspaces(definition).length === 0) {
    return { place: 'normalizer', reason: 'llama.cpp spells spaces as ▁, and this tokenizer does not' };
  }
  const affixes = isJsonObject(definition['model']) ? definition['model'] : {};
  return ['continuing_subword_prefix', 'end_of_word_suffix'].some((key) => (affixes[key] ?? '') !== '')
    ? { place: 'model', reason: 'llama.cpp has no marks of word parts' }
    : undefined;
}

/** What a person should know who compares token ids. */
export function sentencePieceNotes(definition: ConfigObject): string[] {
  return metaspaces(definition).some(putsPrefix)
    ? [
        'llama.cpp puts a space before every text and after every special token in it; this tokenizer puts one only before texts that do not begin with a space: token ids differ there.',
      ]
    : [];
}

function isPrefix({ type, prepend }: ConfigObject): boolean {
  return type === 'Prepend' && prepend === '▁';
}

function spellsSpaces({ type, pattern, content }: ConfigObject): boolean {
  return type === 'Replace' && isJsonObject(pattern) && pattern['String'] === ' ' && content === '▁';
}

/** A cut at spaces cuts nothing where a normaliser spelt them before. */
function cutsAtSpaces({ type, pattern }: ConfigObject): boolean {
  return type === 'Split' && isJsonObject(pattern) && pattern['String'] === ' ';
}

function metaspaces(definition: ConfigObject): ConfigObject[] {
  return stepsOf(definition['pre_tokenizer']).filter(
    ({ type, replacement }) => type === 'Metaspace' && (replacement ?? '▁') === '▁',
  );
}

function putsPrefix({ prepend_scheme: scheme, add_prefix_space: add }: ConfigObject): boolean {
  return scheme === undefined ? add !== false : scheme !== 'never';
}

/** The steps of a normaliser or pre-tokenizer one by one. */
function stepsOf(step: unknown): ConfigObject[] {
  if (!isJsonObject(step)) {
    return [];
  }
  const inner = step['normalizers'] ?? step['pretokenizers'];
  return Array.isArray(inner) ? inner.flatMap(stepsOf) : [step];
}
