import { loadTasks } from '../checkpoint/datasets';
import { loadTokenizer } from '../checkpoint/tokenizer';
import { makeTaskSequences, type TaskSequence } from '../checkpoint/windows';
import type { ScoredPositions } from '../measure/predictedRows';
import type { WindowContent } from '../methods/budgets/heldOutChoice';
import { TunerError } from '../protocol/errors';
import { calibrationWindows, sequencesKey, type CalibrationText } from './calibrationText';
import type { OpenModel } from './openModel';

/** Windows that a search may see, and as many others on which its results are compared. */
export interface BudgetText {
  readonly search: CalibrationText;
  /** Absent where the texts give too few windows to set any aside. */
  readonly heldOut: CalibrationText | undefined;
  /** Items when all of it are short texts or answers. */
  readonly content: WindowContent;
}

interface Group {
  readonly content: WindowContent;
  readonly sequences: readonly Int32Array[];
  /** Answers of task items; texts are scored everywhere. */
  readonly scored?: readonly ScoredPositions[];
}

/** A text too short for twice the calibration tokens gives every third window to the held-out part instead of every second. */
const scarceStride = 3;

/**
 * What budgets are measured on: texts cut into windows, and task items scored on their answers as the evaluation scores them; short
 * texts with the tag of a task begin as items do, for a small model does otherwise behind a separator. Every
 * dataset and every task gives the same number of tokens, from windows spread evenly over it; search and held-out windows alternate.
 * @throws TunerError `usage` without text and tasks, `missingTokenizer`, `malformedText`
 */
export async function budgetText(
  model: OpenModel,
  params: {
    readonly text: readonly string[];
    readonly tasks: readonly string[];
    readonly calibrationTokens: number;
    readonly length?: number | undefined;
  },
): Promise<BudgetText> {
  if (params.text.length + params.tasks.length === 0) {
    throw new TunerError('usage', 'This objective measures the whole model and needs calibration text.', {
      place: '--text, --tasks',
      wayOut:
        'Give text files with --text, task items with --tasks, or choose a data-free objective such as relative-squared.',
    });
  }
  const groups: Group[] = [
    ...(await calibrationWindows(model, { ...params, tagged: 'as-tasks' })).map(({ windows, perDocument }): Group => ({
      content: perDocument ? 'items' : 'text',
      sequences: windows,
    })),
    ...(await taskGroups(model, params.tasks)),
  ];
  const share = params.calibrationTokens / groups.length;
  const parts = groups.map((group) => splitGroup(group, share));
  return {
    search: joined(parts.map(({ search }) => search)),
    heldOut: parts.some(({ heldOut }) => heldOut.sequences.length > 0)
      ? joined(parts.map(({ heldOut }) => heldOut))
      : undefined,
    content: groups.every(({ content }) => content === 'items') ? 'items' : 'text',
  };
}

/**
 * About `tokens` tokens of a text, from windows spread evenly over it; the text itself where it is not much longer. Tables of single
 * changes need fewer tokens than the choice between near allocations.
 */
export function fewerWindows(text: CalibrationText, tokens: number): CalibrationText {
  const count = Math.max(1, Math.round((text.sequences.length * tokens) / text.tokens));
  if (text.sequences.length < 1.25 * count) {
    return text;
  }
  const picked = spread(text.sequences.length, count);
  const scored = picked.map((at) => text.scored?.[at] ?? everyPosition(text.sequences[at]!));
  return joined([{ content: 'text', sequences: picked.map((at) => text.sequences[at]!), scored }]);
}

/** Items of every task, scored on the tokens of their answers. */
async function taskGroups(model: OpenModel, files: readonly string[]): Promise<Group[]> {
  if (files.length === 0) {
    return [];
  }
  const items = makeTaskSequences(await loadTasks(files), await loadTokenizer(model.checkpoint));
  const byTask = new Map<string, TaskSequence[]>();
  for (const item of items) {
    byTask.set(item.task, [...(byTask.get(item.task) ?? []), item]);
  }
  return [...byTask.values()].map((members) => ({
    content: 'items',
    sequences: members.map(({ ids }) => ids),
    scored: members.map(({ answerStart, answerEnd }) => ({ from: answerStart - 1, to: answerEnd - 1 })),
  }));
}

/** About `tokens` tokens for the search and as many held out, spread evenly over the group. */
function splitGroup({ content, sequences, scored }: Group, tokens: number): { search: Group; heldOut: Group } {
  const available = sequences.reduce((sum, { length }) => sum + length, 0);
  const wanted = Math.max(1, Math.round((sequences.length * tokens) / available));
  const count = Math.min(sequences.length, 2 * wanted);
  const stride = count === 2 * wanted ? 2 : scarceStride;
  const picked = spread(sequences.length, count);
  const part = (heldOut: boolean): Group => {
    const members = picked.filter((_, at) => (at % stride === stride - 1) === heldOut);
    return {
      content,
      sequences: members.map((at) => sequences[at]!),
      ...(scored === undefined ? {} : { scored: members.map((at) => scored[at]!) }),
    };
  };
  return { search: part(false), heldOut: part(true) };
}

function joined(groups: readonly Group[]): CalibrationText {
  const sequences = groups.flatMap((group) => [...group.sequences]);
  const scored = groups.flatMap((group) => group.scored ?? group.sequences.map(everyPosition));
  return {
    sequences,
    scored,
    tokens: scored.reduce((sum, { from, to }) => sum + to - from, 0),
    key: sequencesKey(sequences, scored),
  };
}

/** `count` of `length` places, at equal distances. */
function spread(length: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => Math.floor(((at + 0.5) * length) / count));
}

function everyPosition({ length }: Int32Array): ScoredPositions {
  return { from: 0, to: Math.max(0, length - 1) };
}
