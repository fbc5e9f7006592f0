import { element, setText } from './elements';
import { createIcon } from './icons';
import type { IconName } from './icons';

export type NoticeKind = 'information' | 'warning' | 'error';

const noticeIcons: Readonly<Record<NoticeKind, IconName>> = {
  information: 'lock',
  warning: 'history',
  error: 'error',
};

/** A message in the flow of the page: what happened, the way out, and buttons for it. */
export interface Notice {
  readonly root: HTMLElement;
  /** Shows the message, or hides the notice when there is none. */
  update(message: string | undefined, detail?: string): void;
}

export function createNotice(kind: NoticeKind, buttons: readonly HTMLElement[] = []): Notice {
  const message = element('p', { className: 'notice-message' });
  const detail = element('p', { className: 'notice-detail' });
  const actions = element('div', { className: 'notice-actions' }, buttons);
  const words = element('div', { className: 'notice-text' }, [message, detail, actions]);
  const attributes = { role: kind === 'error' ? 'alert' : 'status' };
  const root = element('div', { className: `notice ${kind}`, attributes }, [createIcon(noticeIcons[kind]), words]);
  actions.hidden = buttons.length === 0;
  root.hidden = true;
  return {
    root,
    update: (nextMessage, nextDetail) => {
      root.hidden = nextMessage === undefined;
      setText(message, nextMessage ?? '');
      setText(detail, nextDetail ?? '');
      detail.hidden = nextDetail === undefined;
    },
  };
}
