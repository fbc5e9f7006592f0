import { text } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { createNumberField } from '../ui-kit/numberField';
import { createButton } from '../ui-kit/toolkit';
import type { LayerState } from './layerState';

/** What the buttons over the bars do; each works on the selected layers, or on all where none is selected. */
export interface ToolbarActions {
  readonly step: (by: number) => void;
  readonly setAll: (active: number) => void;
  readonly gradient: (first: number, last: number) => void;
  readonly asTrained: () => void;
  readonly lock: (locked: boolean) => void;
  readonly selectAll: () => void;
  readonly clearSelection: () => void;
}

export interface BudgetToolbar {
  readonly root: HTMLElement;
  update(layers: readonly LayerState[], selected: ReadonlySet<number>, editable: boolean): void;
}

export function createBudgetToolbar(actions: ToolbarActions): BudgetToolbar {
  const scope = element('span', { className: 'toolbar-scope', attributes: { role: 'status' } });
  const button = (
    label: string,
    onPress: () => void,
    icon?: 'plus' | 'minus' | 'lock' | 'unlock',
  ): ReturnType<typeof createButton> =>
    createButton(
      icon === undefined
        ? { label, appearance: 'secondary', onPress }
        : { label, icon, appearance: icon === 'plus' || icon === 'minus' ? 'icon' : 'secondary', onPress },
    );
  const fewer = button(text('planFewer'), () => actions.step(-1), 'minus');
  const more = button(text('planMore'), () => actions.step(1), 'plus');
  const applyAll = (): void => {
    if (one.value !== undefined) {
      actions.setAll(one.value);
    }
  };
  const applyGradient = (): void => {
    if (first.value !== undefined && last.value !== undefined) {
      actions.gradient(first.value, last.value);
    }
  };
  const one = createNumberField(text('planSetValue'), 1, applyAll);
  const first = createNumberField(text('planGradientFirst'), 1, applyGradient);
  const last = createNumberField(text('planGradientLast'), 1, applyGradient);
  const set = button(text('planSet'), applyAll);
  const gradient = button(text('planGradient'), applyGradient);
  const trained = button(text('planAsTrained'), actions.asTrained);
  const lock = button(text('planLock'), () => actions.lock(true), 'lock');
  const unlock = button(text('planUnlock'), () => actions.lock(false), 'unlock');
  const selectAll = button(text('planSelectAll'), actions.selectAll);
  const clear = button(text('planClearSelection'), actions.clearSelection);
  const group = (label: string, children: readonly HTMLElement[]): HTMLElement =>
    element('div', { className: 'toolbar-group', attributes: { role: 'group', 'aria-label': label } }, children);
  const arrow = element('span', { text: '→', attributes: { 'aria-hidden': 'true' } });
  const root = element('div', { className: 'budget-toolbar' }, [
    scope,
    group(text('planStepGroup'), [fewer.root, more.root]),
    group(text('planSetGroup'), [one.root, set.root]),
    group(text('planGradientGroup'), [first.root, arrow, last.root, gradient.root]),
    group(text('planLockGroup'), [trained.root, lock.root, unlock.root]),
    group(text('planSelectGroup'), [selectAll.root, clear.root]),
  ]);
  let filled = false;
  return {
    root,
    update: (layers, selected, editable) => {
      const chosen = selected.size === 0 ? layers : layers.filter(({ position }) => selected.has(position));
      const count = chosen.length;
      setText(scope, selected.size === 0 ? text('planScopeAll', { count }) : text('planScopeSelected', { count }));
      const most = Math.max(1, ...layers.map(({ trained: each }) => each));
      const isOpen = chosen.some(({ locked }) => !locked);
      for (const field of [one, first, last]) {
        field.setRange(1, most);
        field.setEnabled(editable && isOpen);
      }
      if (!filled && layers.length > 0) {
        filled = true;
        one.root.value = String(layers[0]?.active ?? 1);
        last.root.value = String(most);
      }
      for (const each of [fewer, more, set, gradient, trained]) {
        each.setEnabled(editable && isOpen, editable ? text('planAllLocked') : undefined);
      }
      const known = chosen.some(({ index }) => index !== undefined);
      lock.root.hidden = !isOpen;
      unlock.root.hidden = isOpen;
      lock.setEnabled(editable && known, known ? undefined : text('planLockUnknown'));
      unlock.setEnabled(editable);
      selectAll.root.hidden = selected.size === layers.length;
      clear.root.hidden = selected.size === 0;
    },
  };
}
