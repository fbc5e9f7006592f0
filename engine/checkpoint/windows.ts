import { TunerError } from '../protocol/errors';
import type { Dataset, TaskItem } from './datasets';
import type { CheckpointTokenizer } from './tokenizer';

/** How a dataset is cut into sequences for the model. */
export interface WindowOptions {
  /** Tokens of a window. */
  readonly length: number;
  /** How many windows to take from the start; all when absent. */
  readonly windows?: number | undefined;
  /** Whether every text is a window of its own. */
  readonly perDocument?: boolean | undefined;
  /** Per document only: begin as task items do, without a separator. */
  readonly asTasks?: boolean | undefined;
}

/** A task item as token ids; the answer is the ids from `answerStart` to `answerEnd` (exclusive). */
export interface TaskSequence {
  readonly task: string;
  readonly ids: Int32Array;
  readonly answerStart: number;
  readonly answerEnd: number;
}

/**
 * Windows of a dataset. Texts are joined in order, each after one separator token, and cut; an incomplete last window is
 * dropped unless it is the only one. Per document every text is a window of its own, cut to `length`; texts of fewer than
 * two tokens have nothing to predict and are left out.
 * @throws TunerError `malformedText` when the dataset gives no window
 */
export function makeWindows(dataset: Dataset, tokenizer: CheckpointTokenizer, options: WindowOptions): Int32Array[] {
  const cut = options.perDocument === true ? documentWindows : joinedWindows;
  const windows = cut(dataset, tokenizer, options);
  if (windows.length === 0) {
    const message = `The dataset "${dataset.name}" holds too little text: there is no token to predict.`;
    throw new TunerError('malformedText', message, { wayOut: 'Give a longer text.' });
  }
  return windows;
}

function documentWindows(dataset: Dataset, tokenizer: CheckpointTokenizer, options: WindowOptions): Int32Array[] {
  const { length, windows = Infinity, asTasks = false } = options;
  const result: Int32Array[] = [];
  for (const text of dataset.texts) {
    if (result.length >= windows) {
      break;
    }
    const ids = asTasks ? [...tokenizer.beginning] : separator(tokenizer);
    for (const part of tokenizer.parts(text)) {
      append(ids, tokenizer.encode(part));
      if (ids.length >= length) {
        break;
      }
    }
    if (ids.length >= 2) {
      result.push(Int32Array.from(ids.slice(0, length)));
    }
  }
  return result;
}

function joinedWindows(dataset: Dataset, tokenizer: CheckpointTokenizer, options: WindowOptions): Int32Array[] {
  const { length, windows = Infinity } = options;
  const result: Int32Array[] = [];
  let pending: number[] = [];
  for (const text of dataset.texts) {
    append(pending, separator(tokenizer));
    for (const part of tokenizer.parts(text)) {
      append(pending, tokenizer.encode(part));
      let start = 0;
      for (; pending.length - start >= length && result.length < windows; start += length) {
        result.push(Int32Array.from(pending.slice(start, start + length)));
      }
      if (result.length >= windows) {
        return result;
      }
      pending = pending.slice(start);
    }
  }
  return result.length === 0 && pending.length >= 2 ? [Int32Array.from(pending)] : result;
}

/**
 * Sequences of prompt and answer, begun as the tokenizer begins a text. No separator stands before them: models are asked
 * without one, and small ones notice. Both parts are encoded apart, so that the answer's span is exact.
 * @throws TunerError `malformedText` when an answer has no token, or nothing stands before it
 */
export function makeTaskSequences(items: readonly TaskItem[], tokenizer: CheckpointTokenizer): TaskSequence[] {
  return items.map(({ task, prompt, answer }) => {
    const asked = [...tokenizer.beginning, ...tokenizer.encode(prompt)];
    const before = asked.length > 0 ? asked : separator(tokenizer);
    const ids = Int32Array.from([...before, ...tokenizer.encode(answer)]);
    if (before.length === 0 || ids.length === before.length) {
      const missing = before.length === 0 ? 'prompt' : 'answer';
      throw new TunerError('malformedText', `A task item has no token in its ${missing}.`, {
        place: JSON.stringify({ task, prompt, answer }).slice(0, 200),
        wayOut: 'Give every item a prompt and an answer that the tokenizer knows.',
      });
    }
    return { task, ids, answerStart: before.length, answerEnd: ids.length };
  });
}

function separator({ separatorId }: CheckpointTokenizer): number[] {
  return separatorId === undefined ? [] : [separatorId];
}

/** Adds to a list in place. Spreading a long list into push would exceed the stack. */
function append(target: number[], ids: readonly number[]): number[] {
  for (const id of ids) {
    target.push(id);
  }
  return target;
}
