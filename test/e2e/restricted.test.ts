import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EditorWindow } from '../support/editorWindow';
import { enginesOf } from '../support/processes';
import { stepByStep } from '../support/stepByStep';
import { vsixUnderTest } from '../support/vsix';

/** A folder from a stranger names a program of its own as the engine; it must not run, trusted or not, without the person's choice. */
describe('a person in a folder of a stranger', () => {
  let editor: EditorWindow;
  let trace = '';

  beforeAll(async () => {
    editor = await EditorWindow.open({
      vsix: vsixUnderTest(),
      name: 'restricted',
      restricted: true,
      prepare: (workspace) => {
        trace = join(workspace, 'the-stranger-ran');
        const program = join(workspace, 'node');
        writeFileSync(program, `#!/bin/sh\ntouch "${trace}"\n`, { mode: 0o755 });
        mkdirSync(join(workspace, '.vscode'));
        writeFileSync(
          join(workspace, '.vscode', 'settings.json'),
          JSON.stringify({ 'moeTuner.engine.nodePath': program, 'moeTuner.runtime.directory': workspace }),
        );
      },
    });
  });

  afterAll(() => editor.dispose());
  stepByStep();

  it('reads on config.json why nothing is measured, and no engine runs', async () => {
    await editor.openFile('sample/config.json');
    await editor.codeLens(/^Trust this folder to measure$/).waitFor();
    expect(await editor.codeLens(/^Profile sensitivity$/).count()).toBe(0);
    expect(enginesOf(editor.processGroup)).toEqual([]);
  });

  it('finds no command that would run in the palette', async () => {
    await editor.page.keyboard.press('F1');
    await editor.page.keyboard.type('MoE Tuner: Profile');
    await editor.page.locator('.quick-input-list .monaco-list-row').first().waitFor();
    const offered = await editor.page.locator('.quick-input-list .monaco-list-row').allTextContents();
    expect(offered.filter((each) => each.includes('MoE Tuner: Profile'))).toEqual([]);
    await editor.page.keyboard.press('Escape');
  });

  it('trusts the folder and goes on at once, with the engine of the extension', async () => {
    await editor.codeLens(/^Trust this folder to measure$/).click();
    await editor.page.locator('.workspace-trust-editor').waitFor();
    await editor.screenshot('trust');
    await editor.page
      .locator('.workspace-trust-editor a.monaco-button', { hasText: /^Trust/ })
      .first()
      .click();
    await editor.openFile('sample/config.json');
    await editor.codeLens(/8 MoE layers/).waitFor();
    await editor.codeLens(/^Profile sensitivity$/).waitFor();
    expect(existsSync(trace)).toBe(false);
  });
});
