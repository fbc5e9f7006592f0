import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeDropdown,
  vsCodeOption,
  vsCodeProgressRing,
} from '@vscode/webview-ui-toolkit';
import { createIcon } from './icons';
import type { IconName } from './icons';

/** The parts of the toolkit's elements that are used here, under the prefix they are registered with. */
declare global {
  interface HTMLElementTagNameMap {
    'moe-button': HTMLElement & { appearance: string; disabled: boolean };
    'moe-dropdown': HTMLElement & { value: string };
    'moe-option': HTMLElement;
    'moe-progress-ring': HTMLElement;
  }
}

// The only module that knows the toolkit, which is archived: replacing it means replacing this file. An own prefix keeps
// its elements apart from those of any other library.
let registered = false;

/** Registers the toolkit's elements under the prefix `moe`; calling it again does nothing. */
export function registerToolkit(): void {
  if (!registered) {
    registered = true;
    provideVSCodeDesignSystem()
      .withPrefix('moe')
      .register(vsCodeButton(), vsCodeDropdown(), vsCodeOption(), vsCodeProgressRing());
  }
}

export interface ButtonOptions {
  readonly label: string;
  readonly icon?: IconName;
  readonly appearance: 'primary' | 'secondary' | 'icon';
  readonly onPress: () => void;
}

/** A toolkit button. An icon button shows its label as tooltip and gives it to assistive technology. */
export interface ButtonHandle {
  readonly root: HTMLElement;
  /** Enables or disables it; a reason becomes its tooltip. */
  setEnabled(enabled: boolean, reason?: string): void;
  setAppearance(appearance: ButtonOptions['appearance']): void;
}

export function createButton(options: ButtonOptions): ButtonHandle {
  const button = document.createElement('moe-button');
  button.appearance = options.appearance;
  if (options.icon !== undefined) {
    const icon = createIcon(options.icon);
    if (options.appearance !== 'icon') {
      icon.setAttribute('slot', 'start');
    }
    button.append(icon);
  }
  if (options.appearance === 'icon') {
    button.setAttribute('aria-label', options.label);
    button.title = options.label;
  } else {
    button.append(options.label);
  }
  button.addEventListener('click', () => {
    if (!button.disabled) {
      options.onPress();
    }
  });
  return {
    root: button,
    setEnabled: (enabled, reason) => {
      button.disabled = !enabled;
      button.title = !enabled && reason !== undefined ? reason : options.appearance === 'icon' ? options.label : '';
    },
    setAppearance: (appearance) => {
      button.appearance = appearance;
    },
  };
}

export interface DropdownOption {
  readonly value: string;
  readonly label: string;
}

/** A toolkit dropdown with a label for assistive technology. */
export interface DropdownHandle {
  readonly root: HTMLElement;
  update(options: readonly DropdownOption[], selected: string | undefined): void;
}

export function createDropdown(label: string, onSelect: (value: string) => void): DropdownHandle {
  const dropdown = document.createElement('moe-dropdown');
  dropdown.setAttribute('aria-label', label);
  let shown = '';
  dropdown.addEventListener('change', () => {
    onSelect(dropdown.value);
  });
  return {
    root: dropdown,
    update: (options, selected) => {
      const wanted = JSON.stringify(options);
      if (wanted !== shown) {
        shown = wanted;
        dropdown.replaceChildren(
          ...options.map(({ value, label: optionLabel }) => {
            const option = document.createElement('moe-option');
            option.setAttribute('value', value);
            option.textContent = optionLabel;
            return option;
          }),
        );
      }
      // The element reads its options in a later task; a value set before that would be dropped.
      const value = selected ?? options[0]?.value ?? '';
      queueMicrotask(() => {
        dropdown.value = value;
      });
    },
  };
}

/** The toolkit's progress ring, for waits of unknown length. */
export function createProgressRing(): HTMLElement {
  const ring = document.createElement('moe-progress-ring');
  ring.setAttribute('aria-hidden', 'true');
  return ring;
}
