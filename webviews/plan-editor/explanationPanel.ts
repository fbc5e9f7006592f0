import { text } from '../strings';
import { element } from '../ui-kit/elements';
import type { Explanation } from './explanation';

/** The line at the foot of the editor that explains whatever has the focus or the pointer. */
export interface ExplanationPanel {
  readonly root: HTMLElement;
  show(explanation: Explanation | undefined): void;
  /** Explains an element while it has the focus or the pointer. */
  attach(target: HTMLElement, explain: () => Explanation | undefined): void;
}

export function createExplanationPanel(): ExplanationPanel {
  const title = element('h2', { text: text('explainTitle') });
  const hint = element('p', { className: 'note', text: text('explainHint') });
  const facts = element('dl', { className: 'explanation-facts' });
  const root = element('aside', { className: 'explanation', attributes: { 'aria-label': text('explainRegion') } }, [
    title,
    hint,
    facts,
  ]);
  facts.hidden = true;

  function fact(name: string, value: string): HTMLElement {
    return element('div', { className: 'explanation-fact' }, [
      element('dt', { text: name }),
      element('dd', { text: value }),
    ]);
  }

  function show(explanation: Explanation | undefined): void {
    facts.hidden = explanation === undefined;
    hint.hidden = explanation !== undefined;
    title.textContent = explanation?.title ?? text('explainTitle');
    if (explanation !== undefined) {
      facts.replaceChildren(
        fact(text('explainRule'), explanation.rule),
        fact(text('explainNumber'), explanation.number),
        fact(text('explainSource'), explanation.source),
      );
    }
  }

  return {
    root,
    show,
    attach: (target, explain) => {
      for (const name of ['focusin', 'pointerenter'] as const) {
        target.addEventListener(name, () => {
          show(explain());
        });
      }
    },
  };
}
