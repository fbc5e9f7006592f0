import { strict as assert } from 'node:assert';
import * as vscode from 'vscode';
import { activated, until, workspaceFolder } from './support';

describe('views and reports', () => {
  it('opens the dashboard in an editor tab', async () => {
    await activated();
    await vscode.commands.executeCommand('moeTuner.openDashboardInEditor');
    const tab = await until('the tab', () =>
      vscode.window.tabGroups.all
        .flatMap(({ tabs }) => tabs)
        .find(({ input }) => input instanceof vscode.TabInputWebview && input.viewType.includes('moeTuner')),
    );
    assert.equal(tab.label, 'MoE Tuner Dashboard');
    await vscode.window.tabGroups.close(tab);
  });

  it('reveals the dashboard in the side panel without an error', async () => {
    const api = await activated();
    await vscode.commands.executeCommand('moeTuner.openDashboard');
    assert.equal(api.lastError(), undefined);
  });

  it('shows what the engine found out about this machine', async () => {
    const api = await activated();
    await vscode.commands.executeCommand('moeTuner.doctor');
    assert.equal(api.lastError(), undefined);
    const text = vscode.window.activeTextEditor?.document.getText() ?? '';
    assert.match(text, /# Engine diagnostics/);
    assert.match(text, /\| cpu \| yes \|/);
  });

  it('copies diagnostics without personal folders', async () => {
    await activated();
    await vscode.commands.executeCommand('moeTuner.copyDiagnostics');
    const text = await vscode.env.clipboard.readText();
    assert.match(text, /^MoE Tuner \d+\.\d+\.\d+, VS Code 1\./);
    assert.match(text, /moeTuner\.provider: auto/);
    assert.ok(!text.includes(workspaceFolder().fsPath), 'the workspace folder is in the diagnostics');
  });

  it('opens a copy of the bundled sample', async () => {
    const api = await activated();
    await vscode.commands.executeCommand('moeTuner.openSample', 'here');
    const document = vscode.window.activeTextEditor?.document;
    assert.ok(document !== undefined, 'no editor is open');
    assert.ok(document.uri.path.endsWith('/sample-tasks-moe/config.json'), document.uri.path);
    const folder = vscode.Uri.joinPath(document.uri, '..').fsPath;
    const entry = await until('the sample is inspected', () => {
      const found = api.checkpoint(folder);
      return found?.state === 'ready' && found;
    });
    assert.equal(entry.summary?.layers.length, 8);
  });

  it('finds checkpoints that appear and forgets those that go', async () => {
    const api = await activated();
    const folder = vscode.Uri.joinPath(workspaceFolder(), 'appearing');
    const config = vscode.Uri.joinPath(folder, 'config.json');
    const text = '{"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}';
    await vscode.workspace.fs.writeFile(config, new TextEncoder().encode(text));
    await until('it is found', () => api.checkpoint(folder.fsPath) !== undefined);
    await vscode.workspace.fs.delete(folder, { recursive: true });
    await until('it is forgotten', () => api.checkpoint(folder.fsPath) === undefined);
  });
});
