import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EditorWindow } from '../support/editorWindow';
import { enginesOf, eventually } from '../support/processes';
import { stepByStep } from '../support/stepByStep';
import { vsixUnderTest } from '../support/vsix';

describe('a person whose engine dies', () => {
  let editor: EditorWindow;

  beforeAll(async () => {
    editor = await EditorWindow.open({ vsix: vsixUnderTest(), name: 'crash', settings: { 'moeTuner.threads': 1 } });
    await editor.openFile('sample/config.json');
    await editor.codeLens(/8 MoE layers/).waitFor();
  });

  afterAll(() => editor.dispose());
  stepByStep();

  it('is told in mid-run what happened and that finished layers are kept', async () => {
    await editor.codeLens(/^Profile sensitivity$/).click();
    await editor.notification(/Profiling/).waitFor();
    const [engine] = await eventually(
      'a running engine',
      () => {
        const found = enginesOf(editor.processGroup);
        return found.length > 0 ? found : undefined;
      },
      { everyMilliseconds: 20 },
    );
    process.kill(engine!, 'SIGKILL');
    const told = editor.notification(/The engine was ended by signal SIGKILL/);
    await told.waitFor();
    expect(await told.textContent()).toContain('Finished layers are kept');
    expect(await editor.inlineTexts()).toEqual([]);
    await editor.screenshot('told');
  });

  it('runs the command again and gets the result from a new engine', async () => {
    await editor.codeLens(/^Profile sensitivity$/).click();
    const text = await eventually('the sensitivity at the end of the line', async () =>
      (await editor.inlineTexts()).find((each) => each.startsWith('Sensitivity at')),
    );
    expect(text).toMatch(/changes most/);
    expect(enginesOf(editor.processGroup)).toHaveLength(1);
  });
});
