import { element, setText, uniqueId } from './elements';
import { createIcon } from './icons';

export interface PaneOptions {
  readonly title: string;
  readonly collapsed: boolean;
  readonly onToggle: (collapsed: boolean) => void;
  /** Tooltip and accessible name of the button that shows the numbers as a table; none without it. */
  readonly tableLabel?: string;
  readonly tableShown?: boolean;
  readonly onTable?: (shown: boolean) => void;
  /** Tooltip and accessible name of the button that saves what the pane shows; none without it. */
  readonly exportLabel?: string;
  readonly onExport?: () => void;
}

/** A collapsible section with a heading, in the manner of VS Code's own views. */
export interface Pane {
  readonly root: HTMLElement;
  readonly content: HTMLElement;
  /** Hides the buttons for table and export while there are no numbers. */
  setTableAvailable(available: boolean): void;
  /** A word beside the title, such as "outdated"; none without it. */
  setBadge(badge: string | undefined): void;
}

export function createPane(options: PaneOptions, children: readonly Node[]): Pane {
  const contentId = uniqueId('pane');
  const heading = element('button', {
    className: 'pane-toggle',
    text: options.title,
    attributes: { type: 'button', 'aria-expanded': String(!options.collapsed), 'aria-controls': contentId },
  });
  heading.prepend(createIcon('chevron'));
  const badge = element('span', { className: 'pane-badge' });
  badge.hidden = true;
  const header = element('div', { className: 'pane-header' }, [element('h2', {}, [heading]), badge]);
  const content = element('div', { className: 'pane-content', attributes: { id: contentId } }, children);
  content.hidden = options.collapsed;
  const root = element('section', { className: 'pane', attributes: { 'aria-label': options.title } }, [
    header,
    content,
  ]);
  const table = options.tableLabel === undefined ? undefined : createTableToggle(options, options.tableLabel);
  if (table !== undefined) {
    header.append(table);
  }
  const save = options.exportLabel === undefined ? undefined : createExportButton(options, options.exportLabel);
  if (save !== undefined) {
    header.append(save);
  }
  heading.addEventListener('click', () => {
    content.hidden = !content.hidden;
    heading.setAttribute('aria-expanded', String(!content.hidden));
    options.onToggle(content.hidden);
  });
  return {
    root,
    content,
    setTableAvailable: (available) => {
      for (const button of [table, save].filter((one) => one !== undefined)) {
        button.hidden = !available;
      }
    },
    setBadge: (word) => {
      badge.hidden = word === undefined;
      setText(badge, word ?? '');
    },
  };
}

function createTableToggle(options: PaneOptions, label: string): HTMLElement {
  const attributes = { type: 'button', title: label, 'aria-label': label, 'aria-pressed': String(options.tableShown) };
  const button = element('button', { className: 'icon-toggle', attributes }, [createIcon('table')]);
  button.addEventListener('click', () => {
    const shown = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(shown));
    options.onTable?.(shown);
  });
  return button;
}

function createExportButton(options: PaneOptions, label: string): HTMLElement {
  const button = element(
    'button',
    { className: 'icon-toggle', attributes: { type: 'button', title: label, 'aria-label': label } },
    [createIcon('export')],
  );
  button.addEventListener('click', () => {
    options.onExport?.();
  });
  return button;
}
