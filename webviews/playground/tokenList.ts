import { text } from '../strings';
import { element, setText, uniqueId } from '../ui-kit/elements';
import { formatDecimals, formatShare } from '../ui-kit/numbers';
import type { TokenMark } from './agreement';
import type { Written } from './uiState';

/** What one model wrote, token by token: a list box whose chosen token is the same in both lists. */
export interface TokenList {
  readonly root: HTMLElement;
  update(written: Written | undefined, marks: readonly TokenMark[], selected: number): void;
}

export interface TokenListOptions {
  readonly title: string;
  readonly label: string;
  readonly onSelect: (position: number) => void;
}

const far = 10;

const endTexts = { length: 'playEndLength', 'end-of-text': 'playEndText', cancelled: 'playEndCancelled' } as const;

/** Texts of a token for assistive technology and as its tooltip, by its mark. */
const markTexts = {
  alone: 'playToken',
  same: 'playTokenSame',
  different: 'playTokenOther',
  'first-different': 'playTokenFirst',
} as const satisfies Record<TokenMark, string>;

/** Tokens that cannot be seen get a sign, line ends keep their effect. */
function visible(token: Written['tokens'][number]): string {
  return token.text === '' ? `⟨${String(token.id)}⟩` : token.text.replaceAll('\n', '↵\n');
}

export function createTokenList({ title, label, onSelect }: TokenListOptions): TokenList {
  const facts = element('p', { className: 'note' });
  const ended = element('p', { className: 'note' });
  const hint = element('p', {
    className: 'visually-hidden',
    text: text('playTokensHint'),
    attributes: { id: uniqueId('hint') },
  });
  const list = element('div', {
    className: 'tokens',
    attributes: { role: 'listbox', tabindex: '0', 'aria-label': label, 'aria-describedby': hint.id },
  });
  const empty = element('p', { className: 'empty', text: text('playEmpty') });
  const root = element('section', { className: 'token-column', attributes: { 'aria-label': title } }, [
    element('h2', { text: title }),
    facts,
    empty,
    list,
    hint,
    ended,
  ]);
  const options: HTMLElement[] = [];
  let chosen = 0;

  const select = (position: number): void => {
    if (options.length > 0) {
      onSelect(Math.max(0, Math.min(options.length - 1, position)));
    }
  };
  list.addEventListener('click', ({ target }) => {
    const at = options.findIndex((option) => target instanceof Node && option.contains(target));
    if (at !== -1) {
      select(at);
    }
  });
  list.addEventListener('keydown', (event) => {
    const moves: Readonly<Record<string, number>> = {
      ArrowLeft: chosen - 1,
      ArrowUp: chosen - 1,
      ArrowRight: chosen + 1,
      ArrowDown: chosen + 1,
      PageUp: chosen - far,
      PageDown: chosen + far,
      Home: 0,
      End: options.length - 1,
    };
    const next = moves[event.key];
    if (next !== undefined) {
      event.preventDefault();
      select(next);
    }
  });

  return {
    root,
    update: (written, marks, selected) => {
      const tokens = written?.tokens ?? [];
      chosen = Math.min(selected, Math.max(0, tokens.length - 1));
      empty.hidden = tokens.length > 0;
      list.hidden = tokens.length === 0;
      const active = written?.activeExperts ?? [];
      const average = active.reduce((sum, k) => sum + k, 0) / Math.max(1, active.length);
      setText(facts, active.length === 0 ? '' : text('playActive', { average: formatDecimals(average, 2) }));
      setText(ended, written?.ended === undefined ? '' : text(endTexts[written.ended]));
      for (const surplus of options.splice(tokens.length)) {
        surplus.remove();
      }
      for (const [at, token] of tokens.entries()) {
        let option = options[at];
        if (option === undefined) {
          option = element('span', { attributes: { role: 'option', id: uniqueId('token') } });
          options.push(option);
          list.append(option);
        }
        const mark = marks[at] ?? 'alone';
        const values = { position: at + 1, text: visible(token), share: formatShare(token.probability) };
        const name = text(markTexts[mark], values);
        setText(option, visible(token));
        option.className = `token ${mark}`;
        option.setAttribute('aria-label', name);
        option.title = name;
        option.setAttribute('aria-selected', String(at === selected));
      }
      const current = options[chosen];
      if (current === undefined) {
        list.removeAttribute('aria-activedescendant');
      } else {
        list.setAttribute('aria-activedescendant', current.id);
        if (list.contains(document.activeElement) || document.activeElement === list) {
          current.scrollIntoView({ block: 'nearest' });
        }
      }
    },
  };
}
