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
  return (
    stepsOf(definition['normalizer']).some(({ type, prepend }) => type === 'Prepend' && prepend === '▁') ||
    stepsOf(definition['pre_tokenizer']).some(
      ({ type, prepend_scheme: scheme, add_prefix_space: add }) =>
        type === 'Metaspace' && (scheme === undefined ? add !== false : scheme !== 'never'),
    )
  );
}

function stepsOf(step: unknown): ConfigObject[] {
  if (!isJsonObject(step)) {
    return [];
  }
  const inner = step['normalizers'] ?? step['pretokenizers'];
  return Array.isArray(inner) ? inner.flatMap(stepsOf) : [step];
}
