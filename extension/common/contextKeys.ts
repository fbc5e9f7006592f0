import * as vscode from 'vscode';

/** Context keys of the extension with the type of their value; `when` clauses of the manifest use them. */
export interface ContextKeys {
  'moeTuner.jobRunning': boolean;
  'moeTuner.hasCheckpoints': boolean;
  /** Whether the workspace was searched; before that the views show nothing rather than "none". */
  'moeTuner.searched': boolean;
}

const current = new Map<string, unknown>();

/** Sets a context key where its value really changes. */
export function setContextKey<Name extends keyof ContextKeys>(name: Name, value: ContextKeys[Name]): void {
  if (current.get(name) !== value) {
    current.set(name, value);
    void vscode.commands.executeCommand('setContext', name, value);
  }
}
