import type { DashboardAction, DashboardSnapshot } from '../../engine/protocol/dashboard';
import { text } from '../strings';
import type { StringName } from '../strings';
import { element } from '../ui-kit/elements';
import type { IconName } from '../ui-kit/icons';
import { createButton } from '../ui-kit/toolkit';
import type { DashboardContext, DashboardPart } from './section';

interface BarAction {
  readonly action: DashboardAction;
  readonly label: Extract<StringName, 'profile' | 'findBudgets' | 'evaluate'>;
  readonly icon: IconName;
  readonly needs: 'block' | 'forward';
}

const barActions: readonly BarAction[] = [
  { action: 'profile', label: 'profile', icon: 'pulse', needs: 'block' },
  { action: 'findBudgets', label: 'findBudgets', icon: 'sliders', needs: 'block' },
  { action: 'evaluate', label: 'evaluate', icon: 'checklist', needs: 'forward' },
];

/** Why an action cannot run now, or undefined when it can. */
function obstacle({ needs }: BarAction, { summary, job }: DashboardSnapshot): string | undefined {
  if (job !== undefined) {
    return text('busyReason');
  }
  const capability = summary?.[needs];
  if (capability === undefined) {
    return text('readingCheckpoint');
  }
  if (capability.supported) {
    return undefined;
  }
  const reason = capability.reason ?? text('noReason');
  return text(needs === 'block' ? 'blockUnsupported' : 'forwardUnsupported', { reason });
}

/** The step a person most likely wants next gets the primary look: measure first, then decide, then check. */
function nextStep({ profile, budget }: DashboardSnapshot): DashboardAction {
  if (profile === undefined) {
    return 'profile';
  }
  return budget === undefined ? 'findBudgets' : 'evaluate';
}

/** The three actions on a checkpoint. What a model does not support is said in words below the buttons. */
export function createActionBar(context: DashboardContext): DashboardPart {
  const buttons = barActions.map((entry) => {
    const post = (): void => {
      context.post({ kind: 'action', action: entry.action });
    };
    const button = createButton({ label: text(entry.label), icon: entry.icon, appearance: 'secondary', onPress: post });
    return { entry, button };
  });
  const bar = element(
    'div',
    { className: 'actions', attributes: { role: 'group', 'aria-label': text('actions') } },
    buttons.map(({ button }) => button.root),
  );
  const limits = element('div', { className: 'limits' });
  const root = element('div', {}, [bar, limits]);
  return {
    root,
    update: (snapshot) => {
      const reasons = new Set<string>();
      const next = nextStep(snapshot);
      for (const { entry, button } of buttons) {
        const reason = obstacle(entry, snapshot);
        button.setEnabled(reason === undefined, reason);
        button.setAppearance(entry.action === next ? 'primary' : 'secondary');
        if (reason !== undefined && snapshot.job === undefined && snapshot.summary !== undefined) {
          reasons.add(reason);
        }
      }
      limits.replaceChildren(...[...reasons].map((reason) => element('p', { className: 'note', text: reason })));
      limits.hidden = reasons.size === 0;
    },
    dispose: () => {
      root.remove();
    },
  };
}
