import type { DashboardAction, DashboardSnapshot } from '../../engine/protocol/dashboard';
import { text } from '../strings';
import type { StringName } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { createNotice } from '../ui-kit/notice';
import { formatShare } from '../ui-kit/numbers';
import { createProgressBar } from '../ui-kit/progressBar';
import { createButton } from '../ui-kit/toolkit';
import type { ButtonHandle } from '../ui-kit/toolkit';
import type { DashboardContext, DashboardPart } from './section';

function actionButton(
  context: DashboardContext,
  label: Extract<StringName, 'showLog' | 'cancel' | 'stopAndKeep'>,
  action: DashboardAction,
): ButtonHandle {
  const onPress = (): void => {
    context.post({ kind: 'action', action });
  };
  return createButton({ label: text(label), appearance: 'secondary', onPress });
}

/** What went wrong, with the way out: an error of the last job, else an engine that failed. */
export function createErrorNotice(context: DashboardContext): DashboardPart {
  const notice = createNotice('error', [actionButton(context, 'showLog', 'showLog').root]);
  return {
    root: notice.root,
    update: ({ error, engine }) => {
      if (error !== undefined) {
        notice.update(error.message, error.wayOut);
      } else if (engine.state === 'failed') {
        notice.update(text('engineFailed'), engine.message);
      } else {
        notice.update(undefined);
      }
    },
    dispose: () => {
      notice.root.remove();
    },
  };
}

/** Says that the numbers below belong to an earlier state of the checkpoint. */
export function createStaleNotice(): DashboardPart {
  const notice = createNotice('warning');
  return {
    root: notice.root,
    update: ({ stale }) => {
      notice.update(stale ? text('staleText') : undefined);
    },
    dispose: () => {
      notice.root.remove();
    },
  };
}

/** The running job: what it does, how far it is, and a button that cancels it, or stops it where it has a best so far. */
export function createJobStatus(context: DashboardContext): DashboardPart {
  const title = element('span', { className: 'job-title', attributes: { role: 'status' } });
  const share = element('span', { className: 'job-share' });
  const message = element('p', { className: 'note' });
  const bar = createProgressBar();
  const cancel = actionButton(context, 'cancel', 'cancel');
  const keep = actionButton(context, 'stopAndKeep', 'cancel');
  const words = element('div', { className: 'job-line' }, [title, share]);
  const root = element('div', { className: 'job' }, [
    element('div', { className: 'job-text' }, [words, bar.root, message]),
    cancel.root,
    keep.root,
  ]);
  root.hidden = true;
  return {
    root,
    update: ({ job }: DashboardSnapshot) => {
      root.hidden = job === undefined;
      setText(title, job?.title ?? '');
      if (job !== undefined) {
        setText(share, formatShare(Math.max(0, Math.min(1, job.fraction)), 0));
        setText(message, job.stopping === true ? text('stopping') : job.message);
        cancel.root.hidden = job.keepsBest === true;
        keep.root.hidden = job.keepsBest !== true;
        for (const button of [cancel, keep]) {
          button.setEnabled(job.stopping !== true);
        }
        bar.update(job.fraction, job.title);
      }
    },
    dispose: () => {
      root.remove();
    },
  };
}
