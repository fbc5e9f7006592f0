import { element } from './elements';
import { formatShare } from './numbers';

/** A thin progress bar with a text value for assistive technology. */
export interface ProgressBar {
  readonly root: HTMLElement;
  /** @param fraction share done, 0 to 1; values outside are clamped */
  update(fraction: number, label: string): void;
}

export function createProgressBar(): ProgressBar {
  const fill = element('div', { className: 'progress-fill' });
  const attributes = { role: 'progressbar', 'aria-valuemin': '0', 'aria-valuemax': '100' };
  const root = element('div', { className: 'progress', attributes }, [fill]);
  return {
    root,
    update: (fraction, label) => {
      const share = Math.max(0, Math.min(1, fraction));
      fill.style.transform = `scaleX(${String(share)})`;
      root.setAttribute('aria-label', label);
      root.setAttribute('aria-valuenow', String(Math.round(share * 100)));
      root.setAttribute('aria-valuetext', formatShare(share, 0));
    },
  };
}
