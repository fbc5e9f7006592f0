import type { DashboardAction } from '../../engine/protocol/dashboard';
import { text } from '../strings';
import { element } from '../ui-kit/elements';
import { createIcon } from '../ui-kit/icons';
import { createButton, createProgressRing } from '../ui-kit/toolkit';
import type { DashboardContext } from './section';

/** Shown until the first snapshot arrives. */
export function createLoading(): HTMLElement {
  return element('div', { className: 'welcome', attributes: { role: 'status' } }, [
    createProgressRing(),
    element('p', { text: text('loading') }),
  ]);
}

/** Shown in Restricted Mode: why nothing runs, and how to change that. */
export function createUntrusted(): HTMLElement {
  return element('div', { className: 'welcome' }, [
    createIcon('lock'),
    element('h2', { text: text('untrustedTitle') }),
    element('p', { text: text('untrustedText') }),
  ]);
}

/** Shown while the workspace has no checkpoint: the ways to get one. */
export function createNoCheckpoint(context: DashboardContext): HTMLElement {
  const button = (label: 'openSample' | 'openCheckpoint', action: DashboardAction, primary: boolean): HTMLElement => {
    const onPress = (): void => {
      context.post({ kind: 'action', action });
    };
    const icon = primary ? 'play' : 'folder';
    return createButton({ label: text(label), icon, appearance: primary ? 'primary' : 'secondary', onPress }).root;
  };
  return element('div', { className: 'welcome' }, [
    element('h2', { text: text('noCheckpointTitle') }),
    element('p', { text: text('noCheckpointText') }),
    button('openSample', 'openSample', true),
    button('openCheckpoint', 'openCheckpoint', false),
  ]);
}
