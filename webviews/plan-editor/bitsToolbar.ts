import { text } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { createButton, createDropdown } from '../ui-kit/toolkit';
import { bitsPresets } from './bitsGestures';
import type { BitsPreset } from './bitsGestures';
import { bitsShownNames } from './bitsGrid';
import type { BitsShown } from './bitsGrid';
import { offeredBits } from './bitsModel';

export interface BitsActions {
  readonly set: (bits: number) => void;
  readonly preset: (preset: BitsPreset) => void;
  readonly show: (shown: BitsShown) => void;
}

export interface BitsToolbar {
  readonly root: HTMLElement;
  update(shown: BitsShown, selected: number, editable: boolean): void;
}

const shownTexts: Readonly<
  Record<BitsShown, 'planBitsShown' | 'planBitsShownGate' | 'planBitsShownUp' | 'planBitsShownDown'>
> = { projections: 'planBitsShown', gate: 'planBitsShownGate', up: 'planBitsShownUp', down: 'planBitsShownDown' };

/** What the grid shows, bits for the chosen cells, and usual ways to spread bits over all of them. */
export function createBitsToolbar(actions: BitsActions): BitsToolbar {
  const choice = createDropdown(text('planBitsChoice'), (value) => {
    const shown = bitsShownNames.find((name) => name === value);
    if (shown !== undefined) {
      actions.show(shown);
    }
  });
  const scope = element('span', { className: 'toolbar-scope', attributes: { role: 'status' } });
  const buttons = offeredBits.map((bits) =>
    createButton({ label: String(bits), appearance: 'secondary', onPress: () => actions.set(bits) }),
  );
  const presets = bitsPresets.map((preset) =>
    createButton({ label: text(preset.name), appearance: 'secondary', onPress: () => actions.preset(preset) }),
  );
  const group = (label: string, children: readonly HTMLElement[]): HTMLElement =>
    element('div', { className: 'toolbar-group', attributes: { role: 'group', 'aria-label': label } }, children);
  const label = (value: string): HTMLElement =>
    element('span', { className: 'toolbar-label', text: value, attributes: { 'aria-hidden': 'true' } });
  const root = element('div', { className: 'budget-toolbar bits-toolbar' }, [
    group(text('planBitsChoice'), [choice.root]),
    group(text('planBitsGroup'), [scope, ...buttons.map((button) => button.root)]),
    group(text('planBitsPresets'), [label(text('planBitsPresets')), ...presets.map((button) => button.root)]),
  ]);
  return {
    root,
    update: (shown, selected, editable) => {
      choice.update(
        bitsShownNames.map((name) => ({ value: name, label: text(shownTexts[name]) })),
        shown,
      );
      setText(scope, selected === 0 ? text('planBitsCell') : text('planScopeSelected', { count: selected }));
      for (const button of [...buttons, ...presets]) {
        button.setEnabled(editable);
      }
    },
  };
}
