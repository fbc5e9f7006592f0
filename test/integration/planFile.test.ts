import { strict as assert } from 'node:assert';
import * as vscode from 'vscode';
import { activated, lensesOf, openFile, problemsOf, sampleFolder, until, writeFile } from './support';

describe('a plan file', () => {
  let source: { checkpoint: string; family: string; fingerprint: string; experts: number; activeExperts: number };

  before(async () => {
    const api = await activated();
    await vscode.commands.executeCommand('moeTuner.refreshCheckpoints');
    const summary = await until('the sample is inspected', () => api.checkpoint(sampleFolder().fsPath)?.summary);
    const { family, fingerprint, experts, activeExperts } = summary;
    source = { checkpoint: 'sample', family, fingerprint, experts, activeExperts };
  });

  const plan = async (name: string, content: object): Promise<vscode.TextDocument> =>
    openFile(await writeFile(`${name}.moeplan.json`, JSON.stringify(content, undefined, 2)));
  const problemOf = (document: vscode.TextDocument): Promise<vscode.Diagnostic> =>
    until(`a problem in ${document.uri.path}`, () => problemsOf(document.uri)[0]);

  it('for another checkpoint is an error on the fingerprint', async () => {
    const document = await plan('other', {
      version: 1,
      source: { ...source, fingerprint: 'beef' },
      activeExperts: [4],
    });
    const problem = await problemOf(document);
    assert.equal(problem.code, 'plan-for-another-checkpoint');
    assert.equal(document.getText(problem.range), '"beef"');
    const titles = (await lensesOf(document.uri)).map(({ command }) => command?.title);
    assert.ok(!titles.includes('Evaluate plan…'));
  });

  it('with too few numbers is an error on the list', async () => {
    const document = await plan('short', { version: 1, source, activeExperts: [4, 4, 4] });
    const problem = await problemOf(document);
    assert.equal(problem.code, 'plan-layer-count');
    assert.match(problem.message, /3 numbers for 8 MoE layers/);
    assert.ok(document.getText(problem.range).startsWith('"activeExperts"'));
  });

  it('with more active experts than a layer has is an error on that number, with a fix', async () => {
    const document = await plan('many', { version: 1, source, activeExperts: [4, 4, 99, 4, 4, 4, 4, 4] });
    const problem = await problemOf(document);
    assert.equal(problem.code, 'plan-budget-above-experts');
    assert.equal(document.getText(problem.range), '99');
    const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(
      'vscode.executeCodeActionProvider',
      document.uri,
      problem.range,
    );
    assert.ok(actions.some(({ title }) => title === 'Set to 4'));
  });

  it('with a field the format does not know is an error', async () => {
    const document = await plan('unknown', { version: 1, source, activeExperts: [4, 4, 4, 4, 4, 4, 4, 4], speed: 9 });
    assert.equal((await problemOf(document)).code, 'malformed-plan');
  });

  it('that is right has no problem and an action', async () => {
    const document = await plan('right', { version: 1, source, activeExperts: [4, 3, 2, 1, 4, 3, 2, 1] });
    const titles = await until('the lenses', async () => {
      const lenses = (await lensesOf(document.uri)).map(({ command }) => command?.title);
      return lenses.includes('Evaluate plan…') && lenses;
    });
    assert.equal(titles[0], '2.50 active experts per layer on average (20 in 8 layers)');
    assert.deepEqual(problemsOf(document.uri), []);
  });

  it('is completed from the published schema', async () => {
    const document = await plan('empty', {});
    const position = document.positionAt(document.getText().indexOf('{') + 1);
    const labels = await until('completion from the schema', async () => {
      const list = await vscode.commands.executeCommand<vscode.CompletionList>(
        'vscode.executeCompletionItemProvider',
        document.uri,
        position,
      );
      const found = list.items.map(({ label }) => (typeof label === 'string' ? label : label.label));
      return found.some((label) => label.includes('activeExperts')) && found;
    });
    assert.ok(labels.some((label) => label.includes('source')));
  });
});
