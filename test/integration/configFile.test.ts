import { strict as assert } from 'node:assert';
import * as vscode from 'vscode';
import { activated, lensesOf, lineOf, openFile, problemsOf, sampleFile, sampleFolder, setText, until } from './support';

describe('config.json', () => {
  let document: vscode.TextDocument;
  let original: string;

  before(async () => {
    await activated();
    document = await openFile(sampleFile('config.json'));
    original = document.getText();
  });

  afterEach(async () => {
    if (document.getText() !== original) {
      await setText(document, original);
    }
    await document.save();
  });

  it('has the actions above the active-expert count', async () => {
    const line = lineOf(document, '"num_experts_per_tok"');
    const titles = (await lensesOf(document.uri))
      .filter(({ range }) => range.start.line === line)
      .map(({ command }) => command?.title);
    assert.deepEqual(titles, [
      '4 of 16 experts active',
      'Profile sensitivity',
      'Find budgets…',
      'Evaluate…',
      'Generate…',
    ]);
  });

  it('has only lenses whose command exists', async () => {
    const known = new Set(await vscode.commands.getCommands(true));
    for (const { command } of await lensesOf(document.uri)) {
      assert.ok(command !== undefined && known.has(command.command), command?.title);
    }
  });

  it('shows what the headers say on the expert and dtype lines', async () => {
    const api = await activated();
    const entry = await until('the sample is inspected', () => {
      const found = api.checkpoint(sampleFolder().fsPath);
      return found?.state === 'ready' && found;
    });
    assert.equal(entry.summary?.experts, 16);
    assert.equal(entry.summary.activeExperts, 4);
    const titlesAt = async (text: string): Promise<string> => {
      const line = lineOf(document, text);
      const lenses = (await lensesOf(document.uri)).filter(({ range }) => range.start.line === line);
      return lenses.map(({ command }) => command?.title ?? '').join();
    };
    assert.match(await titlesAt('"num_experts":'), /8 MoE layers · .* of .* parameters active/);
    assert.match(await titlesAt('"dtype"'), /8\.01 MB stored, .* MB of it experts/);
  });

  it('reports more active experts than experts while typing, with a quick fix', async () => {
    await setText(document, original.replace('"num_experts_per_tok": 4', '"num_experts_per_tok": 40'));
    const [problem] = await until('a problem is reported', () => {
      const problems = problemsOf(document.uri);
      return problems.length > 0 && problems;
    });
    assert.ok(problem);
    assert.equal(problem.code, 'active-experts-above-experts');
    assert.equal(problem.severity, vscode.DiagnosticSeverity.Error);
    assert.equal(document.getText(problem.range), '40');
    const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(
      'vscode.executeCodeActionProvider',
      document.uri,
      problem.range,
    );
    const fix = actions.find(({ title }) => title === 'Set num_experts_per_tok to 16');
    assert.ok(fix?.edit, actions.map(({ title }) => title).join());
    await vscode.workspace.applyEdit(fix.edit);
    assert.ok(document.getText().includes('"num_experts_per_tok": 16'));
    await until('the problem is gone', () => problemsOf(document.uri).length === 0);
  });

  it('reports an expert count that contradicts the tensors after saving', async () => {
    await setText(document, original.replace('"num_experts": 16', '"num_experts": 24'));
    await document.save();
    const problem = await until('the contradiction is reported', () => problemsOf(document.uri)[0]);
    assert.equal(problem.severity, vscode.DiagnosticSeverity.Error);
    assert.equal(document.getText(problem.range), '24', problem.message);
    await setText(document, original);
    await document.save();
    await until('the problem is gone', () => problemsOf(document.uri).length === 0);
  });

  it('of a dense model has no lenses', async () => {
    const file = vscode.Uri.joinPath(sampleFolder(), '..', 'dense', 'config.json');
    await vscode.workspace.fs.writeFile(file, new TextEncoder().encode('{"model_type": "llama", "hidden_size": 8}'));
    await openFile(file);
    const titles = (await lensesOf(file)).map(({ command }) => command?.command ?? '');
    assert.deepEqual(
      titles.filter((id) => id.startsWith('moeTuner.')),
      [],
    );
  });
});
