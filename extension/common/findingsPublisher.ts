import * as vscode from 'vscode';
import { debounce } from './debounce';
import { rangeOf } from './documents';
import type { Finding, FindingSeverity } from './findings';
import { disposeAll, type Subscription } from './subscription';

const source = 'MoE Tuner';
const typingMilliseconds = 200;

const severities: Readonly<Record<FindingSeverity, vscode.DiagnosticSeverity>> = {
  error: vscode.DiagnosticSeverity.Error,
  warning: vscode.DiagnosticSeverity.Warning,
  information: vscode.DiagnosticSeverity.Information,
};

/** Where the findings of one kind of document come from. */
export interface FindingsSource {
  readonly selector: vscode.DocumentSelector;
  readonly findings: (document: vscode.TextDocument) => readonly Finding[];
}

/** Publishes findings as problems of open documents and offers their repairs as quick fixes. */
export class FindingsPublisher implements vscode.CodeActionProvider, vscode.Disposable {
  private readonly collection = vscode.languages.createDiagnosticCollection('moe-tuner');
  private readonly publishAll = debounce(() => this.publish(), typingMilliseconds);
  private readonly subscriptions: readonly Subscription[];

  constructor(
    private readonly sources: readonly FindingsSource[],
    onDidChange: (listener: () => void) => Subscription,
  ) {
    const kinds = { providedCodeActionKinds: [vscode.CodeActionKind.QuickFix] };
    this.subscriptions = [
      this.collection,
      this.publishAll,
      onDidChange(() => this.publishAll()),
      vscode.workspace.onDidOpenTextDocument((document) => this.noted(document)),
      vscode.workspace.onDidChangeTextDocument(({ document }) => this.noted(document)),
      vscode.workspace.onDidSaveTextDocument((document) => this.noted(document)),
      vscode.workspace.onDidCloseTextDocument(({ uri }) => this.collection.delete(uri)),
      ...sources.map(({ selector }) => vscode.languages.registerCodeActionsProvider(selector, this, kinds)),
    ];
    this.publishAll();
  }

  provideCodeActions(
    document: vscode.TextDocument,
    _range: vscode.Range,
    context: vscode.CodeActionContext,
  ): vscode.CodeAction[] {
    const shown = context.diagnostics.filter((diagnostic) => diagnostic.source === source);
    return this.findingsOf(document).flatMap((finding) => {
      const range = rangeOf(document, finding.span);
      const diagnostics = shown.filter(({ code, range: at }) => code === finding.code && at.isEqual(range));
      return diagnostics.length === 0 ? [] : finding.fixes.map((fix) => quickFix(document, fix, diagnostics));
    });
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private findingsOf(document: vscode.TextDocument): readonly Finding[] {
    return this.sources
      .filter(({ selector }) => vscode.languages.match(selector, document) > 0)
      .flatMap(({ findings }) => findings(document));
  }

  private noted(document: vscode.TextDocument): void {
    if (this.sources.some(({ selector }) => vscode.languages.match(selector, document) > 0)) {
      this.publishAll();
    }
  }

  private publish(): void {
    for (const document of vscode.workspace.textDocuments) {
      if (this.sources.some(({ selector }) => vscode.languages.match(selector, document) > 0)) {
        this.collection.set(
          document.uri,
          this.findingsOf(document).map((finding) => toDiagnostic(document, finding)),
        );
      }
    }
  }
}

function toDiagnostic(document: vscode.TextDocument, finding: Finding): vscode.Diagnostic {
  const diagnostic = new vscode.Diagnostic(
    rangeOf(document, finding.span),
    finding.message,
    severities[finding.severity],
  );
  diagnostic.source = source;
  diagnostic.code = finding.code;
  return diagnostic;
}

function quickFix(
  document: vscode.TextDocument,
  { title, span, replacement }: Finding['fixes'][number],
  diagnostics: vscode.Diagnostic[],
): vscode.CodeAction {
  const action = new vscode.CodeAction(title, vscode.CodeActionKind.QuickFix);
  action.edit = new vscode.WorkspaceEdit();
  action.edit.replace(document.uri, rangeOf(document, span), replacement);
  action.diagnostics = diagnostics;
  action.isPreferred = true;
  return action;
}
