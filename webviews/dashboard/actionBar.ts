import type { DashboardAction, DashboardSnapshot } from '../../engine/protocol/dashboard';
import { text } from '../strings';
import type { StringName } from '../strings';
import { element } from '../ui-kit/elements';
import type { IconName } from '../ui-kit/icons';
import { createMenuButton } from '../ui-kit/menuButton';
import { createButton } from '../ui-kit/toolkit';
import { createChangeGate } from './section';
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

interface MenuAction {
  readonly action: DashboardAction;
  readonly label: Extract<StringName, 'calibrate' | 'prune' | 'merge' | 'quantize' | 'applyPlan'>;
  readonly needs: BarAction['needs'];
}

/** The steps after the first three, in the order in which people take them. */
const menuActions: readonly MenuAction[] = [
  { action: 'calibrate', label: 'calibrate', needs: 'forward' },
  { action: 'prune', label: 'prune', needs: 'block' },
  { action: 'merge', label: 'merge', needs: 'block' },
  { action: 'quantize', label: 'quantize', needs: 'block' },
  { action: 'applyPlan', label: 'applyPlan', needs: 'block' },
];

/** Why an action cannot run now, or undefined when it can. */
function obstacle({ needs }: Pick<BarAction, 'needs'>, { summary, job }: DashboardSnapshot): string | undefined {
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

/**
 * What can be done with a checkpoint: the first three steps as buttons, the others in a menu. The reason why a model does not support
 * a step is said once below the buttons; the menu leaves such steps out.
 */
export function createActionBar(context: DashboardContext): DashboardPart {
  const post = (action: DashboardAction): void => {
    context.post({ kind: 'action', action });
  };
  const buttons = barActions.map((entry) => {
    const onPress = (): void => {
      post(entry.action);
    };
    const button = createButton({ label: text(entry.label), icon: entry.icon, appearance: 'secondary', onPress });
    return { entry, button };
  });
  const menu = createMenuButton(text('moreActions'));
  const isNew = createChangeGate();
  const bar = element('div', { className: 'actions', attributes: { role: 'group', 'aria-label': text('actions') } }, [
    ...buttons.map(({ button }) => button.root),
    menu.root,
  ]);
  const limits = element('div', { className: 'limits' });
  const root = element('div', {}, [bar, limits]);

  function updateMenu(snapshot: DashboardSnapshot): void {
    const offered = menuActions.filter(({ needs }) => snapshot.summary?.[needs].supported === true);
    if (isNew(offered)) {
      menu.setItems(
        offered.map(({ action, label }) => ({
          label: text(label),
          onPick: () => {
            post(action);
          },
        })),
      );
    }
    menu.setEnabled(snapshot.job === undefined, text('busyReason'));
  }

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
      updateMenu(snapshot);
      limits.replaceChildren(...[...reasons].map((reason) => element('p', { className: 'note', text: reason })));
      limits.hidden = reasons.size === 0;
    },
    dispose: () => {
      menu.dispose();
      root.remove();
    },
  };
}
