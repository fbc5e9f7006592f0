import { strict as assert } from 'node:assert';
import * as vscode from 'vscode';
import { activated, sampleFolder, until } from './support';

describe('the playground', () => {
  it('opens in one tab for a checkpoint, and shows the next one in the same', async () => {
    const api = await activated();
    const tabs = () =>
      vscode.window.tabGroups.all
        .flatMap((group) => group.tabs)
        .filter(({ input }) => input instanceof vscode.TabInputWebview && input.viewType.includes('playground'));
    await vscode.commands.executeCommand('moeTuner.generate', sampleFolder().fsPath);
    const [tab] = await until('the tab', () => tabs().length > 0 && tabs());
    assert.equal(tab?.label, 'MoE Tuner Playground');
    await vscode.commands.executeCommand('moeTuner.generate', sampleFolder().fsPath);
    assert.equal(tabs().length, 1);
    assert.equal(api.lastError(), undefined);
    await vscode.window.tabGroups.close(tabs());
  });
});
