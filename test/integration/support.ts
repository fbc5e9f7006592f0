import { strict as assert } from 'node:assert';
import * as vscode from 'vscode';
import type { TestApi } from '../../extension/testApi';

export const extensionId = 'moe-tuner.moe-tuner';

/** The extension under test, activated. */
export async function activated(): Promise<TestApi> {
  const extension = vscode.extensions.getExtension<TestApi>(extensionId);
  assert.ok(extension, `${extensionId} is not installed`);
  return extension.activate();
}

/** Waits until a condition holds, and says which one did not. */
export async function until<Value>(
  what: string,
  condition: () => Value | undefined | false | Promise<Value | undefined | false>,
  seconds = 30,
): Promise<Value> {
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    const value = await condition();
    if (value !== undefined && value !== false) {
      return value;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Waited ${seconds} s in vain: ${what}`);
}

/** The workspace folder, which holds a copy of the sample checkpoint in `sample`. */
export function workspaceFolder(): vscode.Uri {
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(folder, 'the tests need a workspace');
  return folder.uri;
}

export function sampleFolder(): vscode.Uri {
  return vscode.Uri.joinPath(workspaceFolder(), 'sample');
}

export function sampleFile(name: string): vscode.Uri {
  return vscode.Uri.joinPath(sampleFolder(), name);
}

/** Opens a file in an editor. */
export async function openFile(file: vscode.Uri): Promise<vscode.TextDocument> {
  const document = await vscode.workspace.openTextDocument(file);
  await vscode.window.showTextDocument(document, { preview: false });
  return document;
}

/** Line of the first occurrence of a text. */
export function lineOf(document: vscode.TextDocument, text: string): number {
  const offset = document.getText().indexOf(text);
  assert.notEqual(offset, -1, `${text} is not in ${document.uri.path}`);
  return document.positionAt(offset).line;
}

export async function lensesOf(uri: vscode.Uri): Promise<vscode.CodeLens[]> {
  return vscode.commands.executeCommand<vscode.CodeLens[]>('vscode.executeCodeLensProvider', uri, 50);
}

/** All hover texts at a position, as Markdown. */
export async function hoverTextAt(uri: vscode.Uri, position: vscode.Position): Promise<string> {
  const hovers = await vscode.commands.executeCommand<vscode.Hover[]>('vscode.executeHoverProvider', uri, position);
  return hovers
    .flatMap(({ contents }) => contents)
    .map((content) => (content instanceof vscode.MarkdownString ? content.value : JSON.stringify(content)))
    .join('\n');
}

/** Problems that this extension reports for a file. */
export function problemsOf(uri: vscode.Uri): vscode.Diagnostic[] {
  return vscode.languages.getDiagnostics(uri).filter(({ source }) => source === 'MoE Tuner');
}

/** Replaces the whole text of a document, without saving it. */
export async function setText(document: vscode.TextDocument, text: string): Promise<void> {
  const edit = new vscode.WorkspaceEdit();
  const all = new vscode.Range(document.positionAt(0), document.positionAt(document.getText().length));
  edit.replace(document.uri, all, text);
  await vscode.workspace.applyEdit(edit);
}

/** Writes a file of the workspace. */
export async function writeFile(name: string, text: string): Promise<vscode.Uri> {
  const file = vscode.Uri.joinPath(workspaceFolder(), name);
  await vscode.workspace.fs.writeFile(file, new TextEncoder().encode(text));
  return file;
}
