import { text } from '../strings';
import type { StringName } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { createNumberField } from '../ui-kit/numberField';
import { formatInteger } from '../ui-kit/numbers';
import { createButton } from '../ui-kit/toolkit';
import { usualThreshold } from './expertScores';
import type { ExpertScore } from './expertScores';

const percent = 100;

/** What the buttons over the grid of experts do. Shares and thresholds are in the units of the score, shares as 0 to 1. */
export interface ExpertActions {
  readonly mark: (kept: boolean) => void;
  readonly clearSelection: () => void;
  readonly byRatio: (ratio: number) => void;
  readonly byThreshold: (threshold: number) => void;
  /** Experts that {@link byThreshold} would leave pruned; undefined where nothing can be counted. */
  readonly countBelow: (threshold: number) => number | undefined;
}

export interface ExpertToolbarState {
  readonly selected: number;
  readonly score: ExpertScore | undefined;
  readonly editable: boolean;
  /** Why nothing can be changed, where a person may wonder. */
  readonly reason: string | undefined;
}

export interface ExpertToolbar {
  readonly root: HTMLElement;
  update(state: ExpertToolbarState): void;
}

export function createExpertToolbar(actions: ExpertActions): ExpertToolbar {
  const button = (
    label: StringName & ('planPrune' | 'planKeep' | 'planClearSelection' | 'planPruneRatio' | 'planPruneThreshold'),
    onPress: () => void,
  ): ReturnType<typeof createButton> => createButton({ label: text(label), appearance: 'secondary', onPress });
  const group = (label: string, children: readonly HTMLElement[]): HTMLElement =>
    element('div', { className: 'toolbar-group', attributes: { role: 'group', 'aria-label': label } }, children);
  let score: ExpertScore | undefined;

  const ratioOf = (): number | undefined => (ratio.value === undefined ? undefined : ratio.value / percent);
  const thresholdOf = (): number | undefined => {
    const number = threshold.root.valueAsNumber;
    return Number.isFinite(number) ? number / (score?.isShare === true ? percent : 1) : undefined;
  };
  const apply = (value: number | undefined, action: (value: number) => void): void => {
    if (value !== undefined) {
      action(value);
    }
  };
  const byRatio = (): void => apply(ratioOf(), actions.byRatio);
  const byThreshold = (): void => apply(thresholdOf(), actions.byThreshold);
  const ratio = createNumberField(text('planRatioField'), 25, byRatio);
  const threshold = createNumberField(text('planThresholdField'), 0, byThreshold);
  const below = element('span', { className: 'toolbar-note', attributes: { role: 'status' } });
  const showBelow = (): void => {
    const value = thresholdOf();
    const count = value === undefined ? undefined : actions.countBelow(value);
    setText(below, count === undefined ? '' : text('planBelowCount', { count: formatInteger(count) }));
  };
  ratio.setRange(0, percent - 1);
  threshold.root.step = 'any';
  threshold.root.classList.add('wide');
  threshold.root.addEventListener('input', showBelow);

  const scope = element('span', { className: 'toolbar-scope', attributes: { role: 'status' } });
  const prune = button('planPrune', () => actions.mark(false));
  const keep = button('planKeep', () => actions.mark(true));
  const clear = button('planClearSelection', actions.clearSelection);
  const ratioButton = button('planPruneRatio', byRatio);
  const thresholdButton = button('planPruneThreshold', byThreshold);
  const unit = element('span', { text: '%', attributes: { 'aria-hidden': 'true' } });
  const root = element('div', { className: 'budget-toolbar' }, [
    group(text('planSelectGroup'), [scope, prune.root, keep.root, clear.root]),
    group(text('planRatioGroup'), [
      ratio.root,
      element('span', { text: '%', attributes: { 'aria-hidden': 'true' } }),
      ratioButton.root,
    ]),
    group(text('planThresholdGroup'), [threshold.root, unit, thresholdButton.root, below]),
  ]);

  return {
    root,
    update: ({ selected, score: next, editable, reason }) => {
      if (next !== undefined && next.name !== score?.name) {
        threshold.root.value = String(usualThreshold(next));
      }
      score = next;
      setText(scope, selected === 0 ? text('planNothingSelected') : text('planScopeSelected', { count: selected }));
      unit.hidden = score?.isShare !== true;
      for (const each of [prune, keep]) {
        each.setEnabled(editable && selected > 0, reason);
      }
      clear.root.hidden = selected === 0;
      const known = score !== undefined;
      for (const each of [ratioButton, thresholdButton]) {
        each.setEnabled(editable && known, known ? reason : text('planNoStatistics'));
      }
      for (const field of [ratio, threshold]) {
        field.setEnabled(editable && known);
      }
      showBelow();
    },
  };
}
