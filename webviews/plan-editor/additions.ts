import type { Plan } from '../../engine/protocol/plan';
import type { PlanEditorAction } from '../../engine/protocol/planEditor';
import { text } from '../strings';
import type { StringName } from '../strings';
import { element } from '../ui-kit/elements';
import { createButton } from '../ui-kit/toolkit';
import type { PlanView } from './layerState';
import type { EditorContext, EditorPart } from './section';

/** One thing that a run can add to a plan. */
interface Addition {
  readonly label: StringName & ('planAddPrune' | 'planAddMerge' | 'planAddQuantize' | 'planAddCalibrate');
  readonly action: PlanEditorAction;
  readonly wanted: (plan: Plan, view: PlanView) => boolean;
}

const additions: readonly Addition[] = [
  { label: 'planAddPrune', action: 'prune', wanted: ({ prune }) => prune === undefined },
  { label: 'planAddMerge', action: 'merge', wanted: ({ merge }) => merge === undefined },
  { label: 'planAddQuantize', action: 'quantize', wanted: ({ quantize }) => quantize === undefined },
  {
    label: 'planAddCalibrate',
    action: 'calibrate',
    wanted: (_plan, { measurements }) => measurements.expertUse === undefined,
  },
];

/** What the plan does not decide yet, each as a button that starts the run which does. */
export function createAdditions(context: EditorContext): EditorPart {
  const buttons = additions.map(({ label, action, wanted }) => {
    const onPress = (): void => {
      context.post({ kind: 'action', action });
    };
    return { wanted, button: createButton({ label: text(label), appearance: 'secondary', onPress }) };
  });
  const root = element(
    'div',
    { className: 'additions', attributes: { role: 'group', 'aria-label': text('planAdditions') } },
    [
      element('span', { className: 'note', text: text('planAdditions'), attributes: { 'aria-hidden': 'true' } }),
      ...buttons.map(({ button }) => button.root),
    ],
  );
  return {
    root,
    update: (view) => {
      const { plan, measurements, editable, status } = view;
      const shown = buttons.filter(({ button, wanted }) => {
        button.root.hidden = !wanted(plan, view);
        button.setEnabled(status?.job === undefined, text('busyReason'));
        return !button.root.hidden;
      });
      root.hidden = !editable || measurements.state !== 'ready' || !measurements.canEvaluate || shown.length === 0;
    },
    dispose: () => {
      root.remove();
    },
  };
}
