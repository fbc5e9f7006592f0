import { Cleanup, element, uniqueId } from './elements';
import { createIcon } from './icons';

export interface MenuItem {
  readonly label: string;
  readonly onPick: () => void;
}

/** A button that opens a menu, by the menu button pattern of the ARIA authoring practices. */
export interface MenuButton {
  readonly root: HTMLElement;
  /** Offers these items from now on; without any there is no button. */
  setItems(items: readonly MenuItem[]): void;
  /** Enables or disables it; a reason becomes its tooltip. */
  setEnabled(enabled: boolean, reason?: string): void;
  dispose(): void;
}

/** Which item a key leads to, from the one that has the focus; undefined for keys that do not move. */
function targetOf(key: string, current: number, count: number): number | undefined {
  switch (key) {
    case 'ArrowDown':
      return (current + 1) % count;
    case 'ArrowUp':
      return (current - 1 + count) % count;
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return undefined;
  }
}

export function createMenuButton(label: string): MenuButton {
  const menuId = uniqueId('menu');
  const button = element(
    'button',
    {
      className: 'menu-button',
      text: label,
      attributes: { type: 'button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', 'aria-controls': menuId },
    },
    [createIcon('down')],
  );
  const menu = element('div', { className: 'menu', attributes: { id: menuId, role: 'menu', 'aria-label': label } });
  menu.hidden = true;
  const root = element('div', { className: 'menu-holder' }, [button, menu]);
  const cleanup = new Cleanup();
  let entries: readonly HTMLButtonElement[] = [];

  function show(open: boolean, focused?: number): void {
    menu.hidden = !open;
    button.setAttribute('aria-expanded', String(open));
    if (focused !== undefined) {
      entries[focused]?.focus();
    }
  }

  cleanup.listen(button, 'click', () => {
    show(menu.hidden, 0);
  });
  cleanup.listen(button, 'keydown', (event) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      show(true, event.key === 'ArrowDown' ? 0 : entries.length - 1);
    }
  });
  cleanup.listen(menu, 'keydown', (event) => {
    const current = entries.findIndex((entry) => entry === document.activeElement);
    const target = targetOf(event.key, current, entries.length);
    if (target !== undefined) {
      event.preventDefault();
      entries[target]?.focus();
    } else if (event.key === 'Escape') {
      event.preventDefault();
      show(false);
      button.focus();
    }
  });
  // The menu goes with the focus: by Tab, by a click elsewhere, or when the window loses it.
  cleanup.listen(root, 'focusout', (event) => {
    if (!(event.relatedTarget instanceof Node) || !root.contains(event.relatedTarget)) {
      show(false);
    }
  });

  return {
    root,
    setItems: (items) => {
      root.hidden = items.length === 0;
      entries = items.map(({ label: itemLabel, onPick }) => {
        const attributes = { type: 'button', role: 'menuitem', tabindex: '-1' };
        const entry = element('button', { className: 'menu-item', text: itemLabel, attributes });
        entry.addEventListener('click', () => {
          show(false);
          button.focus();
          onPick();
        });
        return entry;
      });
      menu.replaceChildren(...entries);
    },
    setEnabled: (enabled, reason) => {
      button.disabled = !enabled;
      button.title = enabled ? '' : (reason ?? '');
      if (!enabled) {
        show(false);
      }
    },
    dispose: () => {
      cleanup.dispose();
      root.remove();
    },
  };
}
