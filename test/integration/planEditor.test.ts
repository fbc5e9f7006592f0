import { strict as assert } from 'node:assert';
import * as vscode from 'vscode';
import type { Plan } from '../../engine/protocol/plan';
import type { TestApi } from '../../extension/testApi';
import { activated, until, writeFile } from './support';

const viewType = 'moeTuner.planEditor';
const commented = `{
  "version": 1,
  "activeExperts": [4, 3, 2, 1, 4, 3, 2, 1],
  "prune": { "method": "reap", "keep": [[0, 1, 2, 3, 5], [0, 1]], "seed": 0 },
  "notes": "stays as it is"
}
`;

type Editor = ReturnType<TestApi['planEditors']>[number];

/** What happened to the text of a document: one list of replacements for each event. */
function recordChanges(uri: vscode.Uri): { changes: vscode.TextDocumentContentChangeEvent[][]; stop: () => void } {
  const changes: vscode.TextDocumentContentChangeEvent[][] = [];
  const subscription = vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
    if (document.uri.toString() === uri.toString() && contentChanges.length > 0) {
      changes.push([...contentChanges]);
    }
  });
  const stop = (): void => {
    subscription.dispose();
  };
  return { changes, stop };
}

describe('the visual editor of a plan', () => {
  let api: TestApi;

  before(async () => {
    api = await activated();
  });

  afterEach(() => vscode.commands.executeCommand('workbench.action.revertAndCloseActiveEditor'));

  /** Opens a plan in the visual editor, and waits until its page has asked for the document. */
  const open = async (name: string, text: string): Promise<{ document: vscode.TextDocument; editor: Editor }> => {
    const uri = await writeFile(`${name}.moeplan.json`, text);
    await vscode.commands.executeCommand('vscode.openWith', uri, viewType, { preview: false });
    const editor = await until('the page asks for its document', () =>
      api.planEditors(uri).find(({ shown }) => shown !== undefined),
    );
    return { document: await vscode.workspace.openTextDocument(uri), editor };
  };

  it('opens as a custom editor on the text, which stays clean', async () => {
    const { document, editor } = await open('opened', commented);
    const { input } = vscode.window.tabGroups.activeTabGroup.activeTab ?? {};
    assert.ok(input instanceof vscode.TabInputCustom && input.viewType === viewType);
    assert.equal(editor.shown?.fileName, 'opened.moeplan.json');
    assert.deepEqual(editor.shown.plan?.activeExperts, [4, 3, 2, 1, 4, 3, 2, 1]);
    assert.equal(document.isDirty, false);
    assert.equal(document.getText(), commented);
  });

  it('makes one gesture one replacement of the differing characters, and undo takes it back', async () => {
    const { document, editor } = await open('edited', commented);
    const { changes, stop } = recordChanges(document.uri);
    await editor.receive({ kind: 'setBudgets', edit: 1, changes: [{ position: 1, active: 2 }] });
    stop();
    assert.deepEqual(
      changes.map((event) => event.map(({ text, rangeLength, rangeOffset }) => ({ text, rangeLength, rangeOffset }))),
      [[{ text: '2', rangeLength: 1, rangeOffset: commented.indexOf('3, 2, 1') }]],
    );
    assert.equal(document.getText(), commented.replace('[4, 3,', '[4, 2,'));
    assert.equal(document.isDirty, true);
    assert.equal(editor.shown?.applied, 1);

    await vscode.commands.executeCommand('undo');
    await until('the text is back', () => document.getText() === commented);
    await until('the page shows it', () => editor.shown?.plan?.activeExperts?.[1] === 3);
    assert.equal(document.isDirty, false);
    await vscode.commands.executeCommand('redo');
    await until('the edit is made again', () => editor.shown?.plan?.activeExperts?.[1] === 2);
  });

  it('keeps the order of edits that come at once, each a step of its own', async () => {
    const { document, editor } = await open('several', commented);
    const { changes, stop } = recordChanges(document.uri);
    await Promise.all([
      editor.receive({ kind: 'setKept', edit: 1, changes: [{ position: 0, keep: [0, 1, 2, 3] }] }),
      editor.receive({ kind: 'setKept', edit: 2, changes: [{ position: 1, keep: [0, 1, 7] }] }),
      editor.receive({ kind: 'setGates', edit: 3, gates: { scale: [1, 1, 1, 1.5, 1, 1, 1, 1.5], seed: 0 } }),
    ]);
    stop();
    assert.equal(changes.length, 3);
    assert.ok(document.getText().includes('[[0, 1, 2, 3], [0, 1, 7]]'));
    assert.ok(document.getText().includes('"notes": "stays as it is"'));
    const plan = (): Plan | undefined => editor.shown?.plan;
    assert.equal(plan()?.gates?.scale?.[3], 1.5);
    await vscode.commands.executeCommand('undo');
    await until('the last edit alone is gone', () => plan()?.gates === undefined);
    assert.deepEqual(plan()?.prune?.keep, [
      [0, 1, 2, 3],
      [0, 1, 7],
    ]);
  });

  it('shows a change of the text in every editor on it, and says the line of a problem', async () => {
    const { document, editor } = await open('watched', commented);
    const edit = new vscode.WorkspaceEdit();
    const at = document.positionAt(commented.indexOf('"activeExperts": [4') + '"activeExperts": ['.length);
    edit.replace(document.uri, new vscode.Range(at, at.translate(0, 1)), '0');
    await vscode.workspace.applyEdit(edit);
    await until('the problem', () => editor.shown?.problem?.line === 3);
    assert.deepEqual(editor.shown?.plan?.activeExperts?.[0], 4);
    const { changes, stop } = recordChanges(document.uri);
    await editor.receive({ kind: 'setBudgets', edit: 1, changes: [{ position: 1, active: 2 }] });
    stop();
    assert.deepEqual(changes, []);
  });
});
