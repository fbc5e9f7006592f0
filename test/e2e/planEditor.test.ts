import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FrameLocator, Locator } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planSchema, type Plan } from '../../engine/protocol/plan';
import { EditorWindow } from '../support/editorWindow';
import { eventually } from '../support/processes';
import { stepByStep } from '../support/stepByStep';
import { vsixUnderTest } from '../support/vsix';

const planName = 'sample.moeplan.json';
const strangerName = 'stranger.moeplan.json';

/** One person tunes one plan by looking: each step goes on where the one before ended. */
describe('a person in the plan editor', () => {
  let editor: EditorWindow;
  let start: number[] = [];

  const file = (): string => join(editor.workspace, planName);
  const text = (): string => readFileSync(file(), 'utf8');
  const saved = (): Plan => planSchema.parse(JSON.parse(text()));
  const visual = (): FrameLocator => editor.webviewPanel;
  const bars = (frame = visual()): Locator => frame.locator('.layer-bar');
  const numbers = (frame = visual()): Promise<number[]> =>
    bars(frame).evaluateAll((each: { getAttribute(name: string): string | null }[]) =>
      each.map((bar) => Number(bar.getAttribute('aria-valuenow'))),
    );
  const shows = async (expected: readonly number[], frame = visual()): Promise<void> => {
    await eventually(`bars at ${expected.join()}`, async () =>
      (await numbers(frame)).join() === expected.join() ? true : undefined,
    );
  };
  /**
   * Presses keys until the bars show what they should. Keys are pressed again only while nothing at all has changed: VS Code drops an
   * undo while the one before it is still at work, and a person then presses once more.
   */
  const presses = async (keys: string, expected: readonly number[], shownIn = visual()): Promise<void> => {
    const before = await numbers(shownIn);
    await eventually(
      `bars at ${expected.join()} after ${keys}`,
      async () => {
        await editor.page.keyboard.press(keys);
        for (let looks = 0; looks < 30; looks++) {
          const now = (await numbers(shownIn)).join();
          if (now === expected.join()) {
            return true;
          }
          if (now !== before.join()) {
            await shows(expected, shownIn);
            return true;
          }
          await editor.page.waitForTimeout(100);
        }
        return undefined;
      },
      { seconds: 30 },
    );
  };
  const tab = (extra = ''): Locator => editor.page.locator(`.tab.active${extra}[data-resource-name="${planName}"]`);
  const saves = async (expected: readonly number[]): Promise<void> => {
    await editor.page.keyboard.press('Control+S');
    await tab(':not(.dirty)').waitFor();
    await eventually('the file on disk', () => (saved().activeExperts?.join() === expected.join() ? true : undefined));
  };
  const changed = (position: number, active: number): number[] =>
    start.map((each, at) => (at === position ? active : each));
  const titleAction = (name: string): Locator =>
    editor.page.locator(`.editor-group-container.active .editor-actions .action-label[aria-label^="${name}"]`);

  /** Opens a plan from the palette; the editor may have remembered the visual one. */
  const openVisual = async (name: string): Promise<void> => {
    await editor.openFile(name);
    await editor.command('MoE Tuner: Open Plan Editor (Visual)');
    await bars().first().waitFor();
  };

  beforeAll(async () => {
    // In a browser the editor saves by itself unless told not to.
    const settings = { 'files.autoSave': 'off' };
    editor = await EditorWindow.open({ vsix: vsixUnderTest(), name: 'plan-editor', settings });
    await editor.openFile('sample/config.json');
    await editor.codeLens(/^Find budgets…$/).click();
    await editor.pick(/^relative-squared/);
    await editor.pick(/^2\.00 active experts/);
    await editor.page.locator(`.tab.active[data-resource-name="${planName}"]`).waitFor();
  });

  afterAll(() => editor.dispose());
  stepByStep();

  it('opens it with one click, in the place of the text', async () => {
    await titleAction('Open Plan Editor').click();
    start = saved().activeExperts!;
    await shows(start);
    await eventually('one tab', async () =>
      (await editor.page.locator(`.tab[data-resource-name="${planName}"]`).count()) === 1 ? true : undefined,
    );
    await editor.screenshot('1-opened');
  });

  it('drags a bar, sees the totals follow, undoes and redoes it as one step, and saves', async () => {
    const bar = bars().nth(3);
    const box = (await bar.boundingBox())!;
    const level = box.height / 4;
    const wanted = changed(3, 4);
    await editor.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await editor.page.mouse.down();
    for (const levels of [0.4, 1.1, 1.6, 2]) {
      await editor.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2 - levels * level);
    }
    await editor.page.mouse.up();
    await shows(wanted);
    await tab('.dirty').waitFor();
    expect(await visual().locator('.total-value').first().textContent()).toContain('of 4.00');
    expect(saved().activeExperts).toEqual(start);
    await presses('Control+Z', start);
    await tab(':not(.dirty)').waitFor();
    await presses('Control+Shift+Z', wanted);
    const before = text();
    await saves(wanted);
    // Nothing but the one number changed.
    const differing = text()
      .split('\n')
      .filter((line, at) => line !== before.split('\n')[at]);
    expect(differing).toHaveLength(1);
    start = wanted;
  });

  it('changes layers with the keyboard alone', async () => {
    await bars().nth(3).focus();
    await editor.page.keyboard.press('ArrowLeft');
    await presses('ArrowDown', changed(2, start[2]! - 1));
    await editor.page.keyboard.press('ArrowLeft');
    await presses(
      '4',
      start.map((each, at) => (at === 2 ? each - 1 : at === 1 ? 4 : each)),
    );
    await presses('Control+Z', changed(2, start[2]! - 1));
    await presses('Control+Z', start);
  });

  it('slides along the exact front, around a locked layer', async () => {
    await bars().nth(0).focus();
    await editor.page.keyboard.press('l');
    await eventually('the lock in the document', async () =>
      (await bars().nth(0).getAttribute('aria-readonly')) === 'true' ? true : undefined,
    );
    const slider = visual().locator('.front-range:enabled');
    await slider.waitFor();
    await eventually('the front around the lock', async () =>
      (await slider.getAttribute('max')) === String(7 * 3) ? true : undefined,
    );
    await slider.focus();
    const most = [start[0]!, 4, 4, 4, 4, 4, 4, 4];
    await presses('End', most);
    await saves(most);
    expect(saved()).toMatchObject({ locked: [0], budget: { objective: 'relative-squared', total: 28 + start[0]! } });
    start = most;
  });

  it('goes to the text and back, with the text still the document', async () => {
    await titleAction('Reopen Plan as Text').click();
    await editor.codeLens(/active experts per layer on average/).waitFor();
    await titleAction('Open Plan Editor').click();
    await shows(start);
  });

  it('sees a change of the file at once, and is told when there are unsaved changes', async () => {
    const outside = changed(5, 2);
    writeFileSync(
      file(),
      text().replace(JSON.stringify(start).replaceAll(',', ', '), JSON.stringify(outside).replaceAll(',', ', ')),
    );
    await shows(outside);
    await bars().nth(6).focus();
    await presses(
      'ArrowDown',
      outside.map((each, at) => (at === 6 ? each - 1 : each)),
    );
    await tab('.dirty').waitFor();
    writeFileSync(file(), text().replace('"seed": 0', '"seed": 7'));
    const notice = visual().getByText('The file was changed on disk while this plan has unsaved changes.');
    await notice.waitFor();
    await editor.screenshot('2-changed-on-disk');
    await visual().getByText('Take the saved file').click();
    await notice.waitFor({ state: 'hidden' });
    await shows(outside);
    await tab(':not(.dirty)').waitFor();
    start = outside;
  });

  it('has it in two editors, which stay equal', async () => {
    await editor.command('View: Split Editor Right');
    const frames = editor.page.locator('iframe.webview.ready[src*="extensionId=moe-tuner.moe-tuner"]');
    await eventually('two editors', async () => ((await frames.count()) === 2 ? true : undefined));
    const inner = (at: number): FrameLocator =>
      frames.nth(at).contentFrame().locator('iframe#active-frame').contentFrame();
    await shows(start, inner(0));
    await shows(start, inner(1));
    await bars(inner(1)).nth(2).focus();
    const other = start[2] === 3 ? 2 : 3;
    await presses(String(other), changed(2, other), inner(1));
    await shows(changed(2, other), inner(0));
    await bars(inner(0)).nth(2).focus();
    await presses('Control+Z', start, inner(0));
    await shows(start, inner(1));
    await editor.screenshot('3-two-editors');
    await editor.command('View: Close All Editors');
    await eventually('no editor', async () => ((await frames.count()) === 0 ? true : undefined));
    await openVisual(planName);
    await shows(start);
  });

  it('keeps its place while another tab hides it', async () => {
    await bars().nth(4).focus();
    await editor.openFile('sample/config.json');
    await editor.page.locator(`.tab[data-resource-name="${planName}"]`).click();
    await shows(start);
    expect(await bars().nth(4).getAttribute('tabindex')).toBe('0');
  });

  it('keeps unsaved changes over a reload of the window', async () => {
    await bars().nth(4).focus();
    const wanted = changed(4, start[4] === 1 ? 3 : 1);
    await presses(String(wanted[4]), wanted);
    await tab('.dirty').waitFor();
    // Hot exit writes its copy a moment after the last change.
    await editor.page.waitForTimeout(3000);
    await editor.page.reload();
    // Which tab is in front after a reload is up to the editor; what was not saved has to be there.
    await editor.page.locator(`.tab.dirty[data-resource-name="${planName}"]`).first().click();
    await editor.command('MoE Tuner: Open Plan Editor (Visual)');
    await shows(wanted);
    await tab('.dirty').waitFor();
    expect(saved().activeExperts).toEqual(start);
    await bars().nth(4).focus();
    await saves(wanted);
    start = wanted;
  });

  it('keeps what was readable in sight while the text is broken', async () => {
    const whole = text();
    writeFileSync(file(), whole.replace('"activeExperts"', '"activeExperts'));
    await visual()
      .getByText(/This plan cannot be shown: line \d+/)
      .waitFor();
    expect(await numbers()).toEqual(start);
    await editor.screenshot('4-broken');
    writeFileSync(file(), whole);
    await visual()
      .getByText(/This plan cannot be shown/)
      .waitFor({ state: 'hidden' });
  });

  it('is told that a plan belongs to another model', async () => {
    const source = { ...saved().source!, checkpoint: 'another-model', fingerprint: 'beef' };
    writeFileSync(join(editor.workspace, strangerName), JSON.stringify({ ...saved(), source }, undefined, 2));
    await editor.command('View: Close All Editors');
    await openVisual(strangerName);
    await visual().getByText('This plan was made for “another-model”; “sample” has other weights.').waitFor();
    await bars().first().waitFor();
    const before = await numbers();
    await bars().nth(2).focus();
    await editor.page.keyboard.press('ArrowUp');
    expect(await numbers()).toEqual(before);
    expect(await visual().locator('.front-slider').isVisible()).toBe(false);
    await editor.screenshot('5-other-model');
  });

  it('reads it in high contrast', async () => {
    await openVisual(planName);
    await shows(start);
    await editor.changeTheme('Dark High Contrast', 'hc-black');
    await bars().nth(2).focus();
    await shows(start);
    await editor.screenshot('6-high-contrast');
  });
});
