import { protocolVersion } from '../../engine/protocol/messages';
import { playgroundUpdateSchema } from '../../engine/protocol/playground';
import type { PlaygroundMessage, PlaygroundUpdate } from '../../engine/protocol/playground';
import type { WebviewHost } from '../host';
import { text } from '../strings';
import { element, setText } from '../ui-kit/elements';
import { createNotice } from '../ui-kit/notice';
import { formatShare } from '../ui-kit/numbers';
import { createProgressBar } from '../ui-kit/progressBar';
import { createButton } from '../ui-kit/toolkit';
import { marksOf } from './agreement';
import type { TokenMark } from './agreement';
import { createExpertActivity } from './expertActivity';
import { createPromptForm } from './promptForm';
import { createTokenList } from './tokenList';
import { readUiState } from './uiState';
import type { UiState, Written } from './uiState';

type Update<Kind extends PlaygroundUpdate['kind']> = Extract<PlaygroundUpdate, { kind: Kind }>;

/**
 * Builds the playground in a container: a prompt, what the model writes as it was trained and with a plan, and the experts of the
 * chosen token.
 *
 * @returns the function that takes it down
 */
export function startPlayground(container: HTMLElement, host: WebviewHost<PlaygroundMessage>): () => void {
  let state = readUiState(host.readState());
  let target: Update<'target'> | undefined;
  let running = false;

  const change = (part: Partial<UiState>): void => {
    state = { ...state, ...part };
    host.writeState(state);
  };
  const checkpoint = element('span', { className: 'target-name' });
  const plan = element('span', { className: 'target-name' });
  const pick = createButton({
    label: text('playPickPlan'),
    appearance: 'secondary',
    onPress: () => {
      host.post({ kind: 'pickPlan' });
    },
  });
  const drop = createButton({
    label: text('playDropPlan'),
    appearance: 'secondary',
    onPress: () => {
      host.post({ kind: 'dropPlan' });
    },
  });
  const failure = createNotice('error');
  const reason = createNotice('information');
  const progress = createProgressBar();
  const summary = element('p', { className: 'summary', attributes: { role: 'status' } });
  const notes = element('p', { className: 'note' });
  const form = createPromptForm({
    settings: state.settings,
    onChange: (settings) => {
      change({ settings });
    },
    onGenerate: (settings) => {
      host.post({ kind: 'generate', settings });
    },
    onStop: () => {
      host.post({ kind: 'cancel' });
    },
  });
  const onSelect = (selected: number): void => {
    change({ selected });
    render();
  };
  const lists = [
    createTokenList({ title: text('playBaseline'), label: text('playBaselineTokens'), onSelect }),
    createTokenList({ title: text('playWithPlan'), label: text('playPlanTokens'), onSelect }),
  ] as const;
  const activity = createExpertActivity();
  container.replaceChildren(
    element('div', { className: 'playground' }, [
      element('div', { className: 'target' }, [checkpoint, plan, pick.root, drop.root]),
      reason.root,
      failure.root,
      form.root,
      progress.root,
      summary,
      notes,
      element(
        'div',
        { className: 'token-columns' },
        lists.map(({ root }) => root),
      ),
      activity.root,
    ]),
  );
  progress.root.hidden = true;

  function render(): void {
    const { written, selected } = state;
    const marks = marksOf(written);
    setText(checkpoint, target === undefined ? '' : text('playCheckpoint', { name: target.checkpoint }));
    const planName = target?.plan;
    setText(plan, planName === undefined ? text('playNoPlan') : text('playPlan', { name: planName }));
    drop.root.hidden = planName === undefined;
    reason.update(target?.reason);
    form.update(running, target === undefined ? text('loading') : target.reason);
    progress.root.hidden = !running;
    // While tokens come, nothing is read out for each of them.
    setText(summary, running ? '' : summaryOf(written, marks));
    setText(notes, state.notes.join(' '));
    lists.forEach((list, at) => {
      list.update(written[at], marks, selected);
    });
    lists[1].root.hidden = planName === undefined && written[1] === undefined;
    activity.update(state);
  }

  function receive(update: PlaygroundUpdate): void {
    switch (update.kind) {
      case 'target':
        target = update;
        change({ target: update.target });
        break;
      case 'started':
        running = true;
        failure.update(undefined);
        progress.update(0, text('playGenerate'));
        change({ written: [], layers: [], notes: [], selected: 0 });
        break;
      case 'step':
        // Kept in the state when all is there: writing it with every token would take longer and longer.
        state = { ...state, written: withStep(state.written, update.step) };
        break;
      case 'progress':
        progress.update(update.fraction, update.message);
        return;
      case 'finished':
        running = false;
        change({ written: update.result.variants, layers: update.result.layers, notes: update.result.notes });
        break;
      case 'stopped':
        running = false;
        change({});
        failure.update(update.message ?? text('playStopped'), update.wayOut);
    }
    render();
  }

  const stop = host.onMessage((message) => {
    const parsed = playgroundUpdateSchema.safeParse(message);
    if (parsed.success) {
      receive(parsed.data);
    } else {
      failure.update(text('unreadableMessage'), text('unreadableWayOut'));
    }
  });
  render();
  host.post({ kind: 'ready', version: protocolVersion });
  return () => {
    stop();
    container.replaceChildren();
  };
}

function withStep(written: readonly Written[], { variant, token }: Update<'step'>['step']): Written[] {
  const known = written.find(({ name }) => name === variant);
  const before = known ?? { name: variant, activeExperts: [], text: '', tokens: [] };
  const next = { ...before, text: before.text + token.text, tokens: [...before.tokens, token] };
  return known === undefined ? [...written, next] : written.map((each) => (each === known ? next : each));
}

function summaryOf(written: readonly Written[], marks: readonly TokenMark[]): string {
  const count = marks.length;
  if (count === 0) {
    return '';
  }
  if (written.length === 1) {
    return text('playOne', { count });
  }
  const same = marks.filter((mark) => mark === 'same').length;
  return same === count
    ? text('playSame', { count })
    : text('playDifferent', {
        same,
        count,
        share: formatShare(same / count),
        first: marks.indexOf('first-different') + 1,
      });
}
