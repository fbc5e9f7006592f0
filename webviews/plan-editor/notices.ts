import type { PlanEditorAction } from '../../engine/protocol/planEditor';
import { text } from '../strings';
import type { StringName } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { createNotice } from '../ui-kit/notice';
import type { NoticeKind } from '../ui-kit/notice';
import { formatShare } from '../ui-kit/numbers';
import { createProgressBar } from '../ui-kit/progressBar';
import { createButton } from '../ui-kit/toolkit';
import { numbersOf } from './layerState';
import type { PlanView } from './layerState';
import type { EditorContext, EditorPart } from './section';

interface Message {
  readonly title: string;
  readonly detail?: string;
}

function actionButton(
  context: EditorContext,
  label: Extract<StringName, 'planCompare' | 'planRevert' | 'profile' | 'findBudgets'>,
  action: PlanEditorAction,
): HTMLElement {
  const onPress = (): void => {
    context.post({ kind: 'action', action });
  };
  return createButton({ label: text(label), appearance: 'secondary', onPress }).root;
}

/** A notice that is there while some view has a message for it. */
function conditional(
  kind: NoticeKind,
  buttons: readonly HTMLElement[],
  messageOf: (view: PlanView) => Message | undefined,
): EditorPart {
  const notice = createNotice(kind, buttons);
  return {
    root: notice.root,
    update: (view) => {
      const message = messageOf(view);
      notice.update(message?.title, message?.detail);
    },
    dispose: () => {
      notice.root.remove();
    },
  };
}

/** The number of layers the plan lists and the checkpoint has, where they differ. */
function countMismatch({ plan, measurements }: PlanView): Message | undefined {
  const listed = numbersOf(plan, measurements)?.length ?? 0;
  const layers = measurements.layers.length;
  return layers === 0 || listed === layers
    ? undefined
    : { title: text('planLayerCount', { listed, layers }), detail: text('planLayerCountWayOut') };
}

function checkpointMessage({ measurements, plan }: PlanView): Message | undefined {
  const name = plan.source?.checkpoint ?? text('planUnnamedCheckpoint');
  switch (measurements.state) {
    case 'none':
      return { title: text('planNoCheckpoint', { name }), detail: text('planNoCheckpointWayOut') };
    case 'untrusted':
      return { title: text('untrustedTitle'), detail: text('untrustedText') };
    case 'reading':
      return { title: text('readingCheckpoint') };
    case 'failed':
    case 'other':
    case 'ready':
      return undefined;
  }
}

function checkpointProblem({ measurements, plan }: PlanView): Message | undefined {
  const found = measurements.checkpoint ?? '';
  switch (measurements.state) {
    case 'other':
      return {
        title: text('planOtherCheckpoint', { name: plan.source?.checkpoint ?? text('planUnnamedCheckpoint'), found }),
        detail: text('planOtherCheckpointWayOut'),
      };
    case 'failed':
      return {
        title: text('planUnreadableCheckpoint', { found }),
        detail: measurements.reason ?? text('noReason'),
      };
    case 'none':
    case 'untrusted':
    case 'reading':
    case 'ready':
      return undefined;
  }
}

function openTextButton(context: EditorContext, line: () => number | undefined): HTMLElement {
  const onPress = (): void => {
    const at = line();
    context.post(at === undefined ? { kind: 'openText' } : { kind: 'openText', line: at });
  };
  return createButton({ label: text('planShowInText'), appearance: 'secondary', onPress }).root;
}

/** Everything that can be wrong with a plan, each with its way out; most of them are hidden most of the time. */
export function createNotices(context: EditorContext): readonly EditorPart[] {
  let line: number | undefined;
  const problem = conditional('error', [openTextButton(context, () => line)], ({ document }) => {
    line = document.problem?.line;
    return (
      document.problem && {
        title: text('planProblem', { line: document.problem.line, problem: document.problem.message }),
        detail: text('planProblemWayOut'),
      }
    );
  });
  return [
    problem,
    conditional(
      'warning',
      [actionButton(context, 'planCompare', 'compareWithSaved'), actionButton(context, 'planRevert', 'revert')],
      ({ document }) =>
        document.changedOnDisk
          ? { title: text('planChangedOnDisk'), detail: text('planChangedOnDiskWayOut') }
          : undefined,
    ),
    conditional('error', [openTextButton(context, () => undefined)], checkpointProblem),
    conditional('error', [openTextButton(context, () => undefined)], countMismatch),
    conditional('information', [], checkpointMessage),
    conditional('information', [], ({ document }) => (document.writable ? undefined : { title: text('planReadOnly') })),
    conditional(
      'information',
      [actionButton(context, 'profile', 'profile'), actionButton(context, 'findBudgets', 'findBudgets')],
      ({ measurements, status }) =>
        measurements.state === 'ready' && measurements.tables.length === 0 && status?.job === undefined
          ? { title: text('planNothingMeasured'), detail: text('planNothingMeasuredWayOut') }
          : undefined,
    ),
    createJobStatus(context),
  ];
}

/** The running job, with a way to stop it. */
function createJobStatus(context: EditorContext): EditorPart {
  const title = element('span', { className: 'job-title', attributes: { role: 'status' } });
  const share = element('span', { className: 'job-share' });
  const message = element('p', { className: 'note' });
  const bar = createProgressBar();
  const cancel = createButton({
    label: text('cancel'),
    appearance: 'secondary',
    onPress: () => context.post({ kind: 'action', action: 'cancel' }),
  });
  const words = element('div', { className: 'job-line' }, [title, share]);
  const root = element('div', { className: 'job' }, [
    element('div', { className: 'job-text' }, [words, bar.root, message]),
    cancel.root,
  ]);
  root.hidden = true;
  return {
    root,
    update: ({ status }) => {
      const job = status?.job;
      root.hidden = job === undefined;
      setText(title, job?.title ?? '');
      if (job !== undefined) {
        setText(share, formatShare(Math.max(0, Math.min(1, job.fraction)), 0));
        setText(message, job.stopping === true ? text('stopping') : job.message);
        cancel.setEnabled(job.stopping !== true);
        bar.update(job.fraction, job.title);
      }
    },
    dispose: () => {
      root.remove();
    },
  };
}
