import type { PruneResult } from '../protocol/pruning';
import { bytes, percent, significant, textTable } from './table';

/** The result of `prune` as text for people. */
export function renderPrune(result: PruneResult): string {
  const { method, chosen, replacement, layers, experts, kept, correction, candidates, measured } = result;
  const rows = layers.map(({ index, keep, scores }, at) => [
    String(index),
    `${keep.length} of ${scores.length}`,
    goingRanges(keep, scores.length),
    ...(correction === undefined ? [] : [significant(correction[at]!)]),
  ]);
  return [
    `${method}${chosen === undefined ? '' : ` took ${chosen}`}: ${kept} of ${experts} experts stay${replacement === undefined ? '' : `, ${replacement === 'zero' ? 'zero' : 'a constant'} for the others`}, ${bytes(result.keptExpertBytes)} of ${bytes(result.expertBytes)} of expert weights`,
    textTable(['layer', 'stay', 'go', ...(correction === undefined ? [] : ['factor'])], rows),
    ...(candidates === undefined
      ? []
      : [
          '',
          'Measured on text that the search did not see, best first:',
          textTable(
            ['plan', 'gates', 'KL', 'perplexity', 'top-1'],
            candidates.map((candidate) => [
              candidate.name,
              candidate.correction === 'folded' ? 'corrected' : 'as they are',
              ...(candidate.measured === null
                ? ['–', '–', '–']
                : [
                    candidate.measured.kl.toFixed(4),
                    significant(Math.exp(candidate.measured.logPerplexity)),
                    percent(candidate.measured.accuracy),
                  ]),
            ]),
          ),
        ]),
    ...(measured === undefined ? [] : [`KL from the full model: ${measured.kl.toFixed(4)} nats per token`]),
    ...(result.retrieved === undefined
      ? []
      : [`Nearest stored task: ${result.retrieved.task} (distance ${significant(result.retrieved.distance)})`]),
    ...result.notes.map((note) => `note: ${note}`),
    ...(result.plan === undefined ? [] : [`Plan: ${result.plan}`]),
  ].join('\n');
}

/** Experts that go, neighbours as ranges: `0–2, 7`. */
function goingRanges(keep: readonly number[], experts: number): string {
  const kept = new Set(keep);
  const ranges: [number, number][] = [];
  for (let expert = 0; expert < experts; expert += 1) {
    const last = ranges.at(-1);
    if (kept.has(expert)) {
      continue;
    }
    if (last !== undefined && last[1] === expert - 1) {
      last[1] = expert;
    } else {
      ranges.push([expert, expert]);
    }
  }
  return ranges.length === 0
    ? 'none'
    : ranges.map(([first, last]) => (first === last ? String(first) : `${first}–${last}`)).join(', ');
}
