import { mostGeneratedTokens } from '../../engine/protocol/generation';
import { defaultPlaygroundSettings, playgroundSettingsSchema } from '../../engine/protocol/playground';
import type { PlaygroundSettings } from '../../engine/protocol/playground';
import { text } from '../strings';
import { element, uniqueId } from '../ui-kit/elements';
import { createNumberField } from '../ui-kit/numberField';
import { createButton } from '../ui-kit/toolkit';

export interface PromptFormOptions {
  readonly settings: PlaygroundSettings;
  readonly onChange: (settings: PlaygroundSettings) => void;
  readonly onGenerate: (settings: PlaygroundSettings) => void;
  readonly onStop: () => void;
}

/** Prompt, numbers and the button; the settings are told with every change, so that nothing is lost. */
export interface PromptForm {
  readonly root: HTMLElement;
  /** @param reason why nothing can be generated; undefined where it can */
  update(running: boolean, reason: string | undefined): void;
}

export function createPromptForm({ settings, onChange, onGenerate, onStop }: PromptFormOptions): PromptForm {
  const promptId = uniqueId('prompt');
  const prompt = element('textarea', {
    className: 'prompt',
    attributes: { id: promptId, rows: '4', spellcheck: 'false', title: text('playPromptHint') },
  });
  prompt.value = settings.prompt;
  const tokens = createNumberField(text('playTokens'), settings.tokens, press);
  tokens.setRange(1, mostGeneratedTokens);
  const seed = createNumberField(text('playSeed'), settings.seed, press);
  const temperature = element('input', {
    className: 'number-field',
    attributes: {
      type: 'number',
      inputmode: 'decimal',
      min: '0',
      max: '100',
      step: '0.1',
      'aria-label': text('playTemperature'),
      title: text('playTemperatureHint'),
    },
  });
  temperature.value = String(settings.temperature);
  const generate = createButton({ label: text('playGenerate'), icon: 'play', appearance: 'primary', onPress: press });
  const stop = createButton({ label: text('playStop'), appearance: 'secondary', onPress: onStop });
  let blocked: string | undefined;
  let busy = false;

  function current(): PlaygroundSettings {
    const wanted = {
      prompt: prompt.value,
      tokens: tokens.value,
      temperature: Number.isFinite(temperature.valueAsNumber) ? temperature.valueAsNumber : undefined,
      seed: seed.value,
    };
    // A field that holds no possible number counts as its default.
    const one = <Name extends keyof PlaygroundSettings>(name: Name): PlaygroundSettings[Name] => {
      const parsed = playgroundSettingsSchema.shape[name].safeParse(wanted[name]);
      return (parsed.success ? parsed.data : defaultPlaygroundSettings[name]) as PlaygroundSettings[Name];
    };
    return { prompt: one('prompt'), tokens: one('tokens'), temperature: one('temperature'), seed: one('seed') };
  }
  function press(): void {
    if (!busy && blocked === undefined && prompt.value !== '') {
      onGenerate(current());
    }
  }
  function refresh(): void {
    const reason = blocked ?? (prompt.value === '' ? text('playNeedsPrompt') : undefined);
    generate.setEnabled(!busy && reason === undefined, reason);
    generate.root.hidden = busy;
    stop.root.hidden = !busy;
  }
  for (const field of [prompt, tokens.root, seed.root, temperature]) {
    field.addEventListener('input', () => {
      onChange(current());
      refresh();
    });
  }
  temperature.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') {
      press();
    }
  });
  prompt.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      press();
    }
  });
  const named = (name: string, field: HTMLElement): HTMLElement =>
    element('span', { className: 'field' }, [
      element('span', { text: name, attributes: { 'aria-hidden': 'true' } }),
      field,
    ]);
  const root = element('form', { className: 'prompt-form', attributes: { autocomplete: 'off' } }, [
    element('label', { text: text('playPrompt'), attributes: { for: promptId } }),
    prompt,
    element('div', { className: 'prompt-row' }, [
      named(text('playTokens'), tokens.root),
      named(text('playTemperature'), temperature),
      named(text('playSeed'), seed.root),
      generate.root,
      stop.root,
    ]),
  ]);
  root.addEventListener('submit', (event) => {
    event.preventDefault();
  });
  return {
    root,
    update: (running, reason) => {
      const hadFocus = root.contains(document.activeElement) && document.activeElement?.localName === 'moe-button';
      busy = running;
      blocked = reason;
      refresh();
      if (hadFocus) {
        (running ? stop : generate).root.focus();
      }
    },
  };
}
