import { describe, expect, test } from 'vitest';
import { dashboardMessageSchema } from '../../engine/protocol/dashboard';
import { protocolVersion } from '../../engine/protocol/messages';
import { dashboardHarness } from '../support/dashboardHarness';
import type { PageElement } from '../support/webviewBrowser';
import { snapshots, summary } from '../support/webviewSnapshots';

const dashboard = dashboardHarness();

describe('the first moments', () => {
  test('it says that it is loading, and asks for a snapshot with the version of the protocol', async () => {
    const { page, ...view } = await open();
    expect(await page.locator('main').innerText()).toContain('Loading');
    expect(await view.messages()).toEqual([{ kind: 'ready', version: protocolVersion }]);
  });

  test('a checkpoint that is still being read shows neither actions that work nor sections', async () => {
    const { page } = await open('reading');
    expect(await page.getByText('Reading the checkpoint…').isVisible()).toBe(true);
    expect(await page.locator('.pane:visible').count()).toBe(0);
    expect(await page.locator('.actions moe-button:not([disabled])').count()).toBe(0);
  });
});

describe('nothing to work on', () => {
  test('Restricted Mode says why nothing runs and offers no action', async () => {
    const { page } = await open('untrusted');
    expect(await page.getByRole('heading', { name: 'Restricted Mode' }).isVisible()).toBe(true);
    expect(await page.locator('moe-button:visible').count()).toBe(0);
  });

  test('a workspace without checkpoint offers the sample and a folder', async () => {
    const { page, messages } = await open('empty');
    await page.getByRole('button', { name: 'Open sample' }).click();
    await page.getByRole('button', { name: 'Open checkpoint…' }).click();
    expect((await messages()).slice(1)).toEqual([
      { kind: 'action', action: 'openSample' },
      { kind: 'action', action: 'openCheckpoint' },
    ]);
  });
});

describe('a checkpoint', () => {
  test('its facts are those of the snapshot', async () => {
    const { page } = await open('inspected');
    const facts = await page.locator('.facts').innerText();
    expect(facts.split('\n').filter(Boolean)).toEqual([
      'Family',
      'olmoe',
      'Experts',
      '8 of 32 active',
      'MoE layers',
      '12 of 12',
      'Parameters',
      '28.2M, 10.5M active',
      'Size',
      '56.3\u00a0MB bfloat16',
      'In experts',
      '47.2\u00a0MB (84%)',
    ]);
    expect(await page.locator('.empty:visible').count()).toBe(7);
  });

  test('each action posts its message, and messages satisfy the protocol', async () => {
    const { page, messages } = await open('measured');
    for (const name of ['Profile sensitivity', 'Find budgets', 'Evaluate', 'Open config.json']) {
      await page.getByRole('button', { name, exact: true }).click();
    }
    const sent = (await messages()).slice(1);
    expect(sent).toEqual([
      { kind: 'action', action: 'profile' },
      { kind: 'action', action: 'findBudgets' },
      { kind: 'action', action: 'evaluate' },
      { kind: 'action', action: 'openConfig' },
    ]);
    for (const message of sent) {
      expect(dashboardMessageSchema.safeParse(message).success).toBe(true);
    }
  });

  test('the steps after the first three stand in a menu that keys open, walk, leave and use', async () => {
    const { page, messages } = await open('measured');
    const button = page.getByRole('button', { name: 'More' });
    const focused = (): Promise<string> => page.evaluate('document.activeElement.textContent');
    await button.focus();
    await page.keyboard.press('ArrowDown');
    expect(await button.getAttribute('aria-expanded')).toBe('true');
    const items = page.getByRole('menu', { name: 'More' }).getByRole('menuitem');
    const labels = ['Calibrate…', 'Prune experts…', 'Merge experts…', 'Quantize…', 'Apply a plan…'];
    expect(await items.allTextContents()).toEqual(labels);
    expect(await focused()).toBe('Calibrate…');
    await page.keyboard.press('ArrowUp');
    expect(await focused()).toBe('Apply a plan…');
    await page.keyboard.press('Escape');
    expect([await focused(), await items.count()]).toEqual(['More', 0]);
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    expect((await messages()).slice(1)).toEqual([{ kind: 'action', action: 'prune' }]);
    expect([await focused(), await items.count()]).toEqual(['More', 0]);
    await button.click();
    await page.keyboard.press('Tab');
    expect(await items.count()).toBe(0);
  });

  test('the menu offers what the model supports, and nothing while a job runs', async () => {
    const { page, post } = await open('blockOnly');
    const button = page.getByRole('button', { name: 'More' });
    await button.click();
    const items = page.getByRole('menuitem');
    expect(await items.allTextContents()).toEqual(['Prune experts…', 'Merge experts…', 'Quantize…', 'Apply a plan…']);
    await post(snapshots.running);
    expect([await button.isDisabled(), await items.count()]).toEqual([true, 0]);
    await post(snapshots.reading);
    expect(await button.count()).toBe(0);
  });

  test('choosing another checkpoint asks for it; a snapshot that selects one does not', async () => {
    const { page, messages, post } = await open('measured');
    await post({ ...snapshots.measured, selected: '/models/tasks' });
    expect(await messages()).toHaveLength(1);
    const selector = page.getByRole('combobox', { name: 'Checkpoint' });
    expect(await selector.evaluate((element: PageElement) => element.value)).toBe('/models/tasks');
    await selector.focus();
    await page.keyboard.press('ArrowUp');
    expect((await messages()).slice(1)).toEqual([{ kind: 'select', folder: '/models/olmoe-text' }]);
  });

  test('what the model does not support is disabled, with the reason in words', async () => {
    const { page } = await open('blockOnly');
    expect(await page.locator('moe-button', { hasText: 'Evaluate' }).getAttribute('disabled')).not.toBeNull();
    expect(await page.locator('moe-button', { hasText: 'Profile' }).getAttribute('disabled')).toBeNull();
    const words = await page.locator('main').innerText();
    expect(words).toContain('Evaluation is not available for this model: the attention of this family is not known.');
    expect(words).toContain('tie_word_embeddings is missing');
  });

  test('names from files stay text', async () => {
    const { page, post } = await open();
    const name = '<img src=x onerror=alert(1)>';
    await post({
      ...snapshots.inspected,
      checkpoints: [{ folder: '/x', label: name }],
      summary: { ...summary, family: name, warnings: [name] },
    });
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('.warnings').innerText()).toBe(name);
  });
});

describe('work and trouble', () => {
  test('a job shows title, step and share, disables the actions, and can be cancelled', async () => {
    const { page, messages } = await open('running');
    expect(await page.locator('.job').innerText()).toMatch(/Finding budgets\s+42%\s+Layer 5 of 12/);
    expect(await page.getByRole('progressbar', { name: 'Finding budgets' }).getAttribute('aria-valuenow')).toBe('42');
    expect(await page.locator('.actions moe-button:not([disabled])').count()).toBe(0);
    await page.getByRole('button', { name: 'Cancel' }).click();
    expect((await messages()).slice(1)).toEqual([{ kind: 'action', action: 'cancel' }]);
  });

  test('a search can be stopped with what it has, once', async () => {
    const { page, messages, post } = await open('searching');
    expect(await page.getByRole('button', { name: 'Cancel' }).count()).toBe(0);
    await page.getByRole('button', { name: 'Stop and keep best' }).click();
    expect((await messages()).slice(1)).toEqual([{ kind: 'action', action: 'cancel' }]);
    await post({ ...snapshots.searching, job: { ...snapshots.searching.job, stopping: true } });
    expect(await page.locator('.job').innerText()).toContain('Stopping…');
    expect(await page.locator('.job moe-button:not([disabled]):visible').count()).toBe(0);
    await post(snapshots.running);
    expect(await page.locator('.job moe-button:visible').allInnerTexts()).toEqual(['Cancel']);
  });

  test('when the job ends the next snapshot gives the actions back', async () => {
    const { page, post } = await open('running');
    await post(snapshots.profiled);
    expect(await page.locator('.job').isVisible()).toBe(false);
    expect(await page.locator('.actions moe-button[disabled]').count()).toBe(0);
  });

  test('a failure says what happened and the way out, and leads to the log', async () => {
    const { page, messages } = await open('failed');
    const alert = page.getByRole('alert');
    expect(await alert.innerText()).toContain('the header ends beyond the file.');
    expect(await alert.innerText()).toContain('Download the shard again.');
    await alert.getByRole('button', { name: 'Show log' }).click();
    expect((await messages()).slice(1)).toEqual([{ kind: 'action', action: 'showLog' }]);
  });

  test('an engine that died is an error too', async () => {
    const { page } = await open('engineFailed');
    expect(await page.getByRole('alert').innerText()).toContain('signal SIGKILL');
    expect(await page.locator('.engine-line').innerText()).toBe('Engine failed');
  });

  test('outdated results stay, and say so in every section', async () => {
    const { page } = await open('stale');
    expect(await page.getByText('The checkpoint changed after these numbers were measured.').isVisible()).toBe(true);
    expect(await page.locator('.pane-badge:visible').allInnerTexts()).toEqual(Array(5).fill('outdated'));
    expect(await page.locator('canvas:visible').count()).toBe(3);
  });

  test('an unreadable message is reported and takes nothing away', async () => {
    const { page, post } = await open('measured');
    await post({ ...snapshots.measured, evaluations: 'none' });
    expect(await page.getByRole('alert').innerText()).toContain('cannot read');
    expect(await page.locator('canvas:visible').count()).toBe(3);
    await post(snapshots.measured);
    expect(await page.getByRole('alert').count()).toBe(0);
  });
});

async function open(name?: keyof typeof snapshots) {
  const view = await dashboard.open(name === undefined ? undefined : snapshots[name]);
  return {
    page: view.page,
    messages: () => view.messages(),
    post: (message: object) => view.post(message),
  };
}
