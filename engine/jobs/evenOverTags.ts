import type { TaggedSequence } from '../measure/calibration/batchTokens';

/**
 * Sequences of about `tokens` tokens together, as many of every tag as of the others, evenly spread over those of the tag: no task,
 * domain or dataset rules a measurement by being long. What tags with little text leave is not given to the others.
 * @returns for every tag in order of its first appearance its sequences; at least one each
 */
export function evenOverTags(sequences: readonly TaggedSequence[], tokens: number): TaggedSequence[][] {
  const tags = [...new Set(sequences.map(({ tag }) => tag))];
  return tags.map((tag) => {
    const own = sequences.filter((sequence) => sequence.tag === tag);
    const available = own.reduce((sum, { ids }) => sum + ids.length, 0);
    const wanted = Math.round((own.length * tokens) / tags.length / available);
    const count = Math.min(own.length, Math.max(1, wanted));
    return Array.from({ length: count }, (_, at) => own[Math.floor(((at + 0.5) * own.length) / count)]!);
  });
}
