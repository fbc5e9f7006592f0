import { element } from './elements';

/** A small field for a whole number, in the manner of VS Code's inputs. */
export interface NumberField {
  readonly root: HTMLInputElement;
  /** The number in it; undefined while it holds none. */
  readonly value: number | undefined;
  setRange(minimum: number, maximum: number): void;
  setEnabled(enabled: boolean): void;
}

/** @param onEnter called when the person presses Enter in it */
export function createNumberField(label: string, initial: number, onEnter: () => void): NumberField {
  const input = element('input', {
    className: 'number-field',
    attributes: { type: 'number', inputmode: 'numeric', step: '1', 'aria-label': label, title: label },
  });
  input.value = String(initial);
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') {
      event.preventDefault();
      onEnter();
    }
  });
  return {
    root: input,
    get value() {
      const number = input.valueAsNumber;
      return Number.isFinite(number) ? Math.round(number) : undefined;
    },
    setRange: (minimum, maximum) => {
      input.min = String(minimum);
      input.max = String(maximum);
    },
    setEnabled: (enabled) => {
      input.disabled = !enabled;
    },
  };
}
