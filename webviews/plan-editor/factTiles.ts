import { element, setText } from '../ui-kit/elements';
import type { Explanation } from './explanation';
import type { ExplanationPanel } from './explanationPanel';

/** One number that stands above a section. */
export interface Fact {
  readonly value: string;
  readonly explain: () => Explanation | undefined;
}

/** Numbers in a row, each explained while it has the focus or the pointer. */
export interface FactTiles {
  readonly root: HTMLElement;
  /** @param facts parallel to the titles; undefined for one that is not known, which is not shown */
  update(facts: readonly (Fact | undefined)[]): void;
}

export function createFactTiles(explanation: ExplanationPanel, label: string, titles: readonly string[]): FactTiles {
  let shown: readonly (Fact | undefined)[] = [];
  const tiles = titles.map((title, at) => {
    const value = element('span', { className: 'total-value' });
    const root = element('button', { className: 'total', attributes: { type: 'button' } }, [
      element('span', { className: 'total-name', text: title }),
      value,
    ]);
    const explain = (): Explanation | undefined => shown[at]?.explain();
    explanation.attach(root, explain);
    root.addEventListener('click', () => {
      explanation.show(explain());
    });
    return { root, value };
  });
  return {
    root: element(
      'div',
      { className: 'totals', attributes: { role: 'group', 'aria-label': label } },
      tiles.map(({ root }) => root),
    ),
    update: (facts) => {
      shown = facts;
      tiles.forEach(({ root, value }, at) => {
        root.hidden = facts[at] === undefined;
        setText(value, facts[at]?.value ?? '');
      });
    },
  };
}
