import * as vscode from 'vscode';
import { planFileSuffix } from '../../engine/protocol/plan';
import type { TextSpan } from './findings';

/** Model configurations, in any file system: what only needs the text works everywhere. */
export const configSelector: vscode.DocumentSelector = { pattern: '**/config.json' };
/** Settings of ONNX models for ONNX Runtime GenAI. */
export const genaiSelector: vscode.DocumentSelector = { pattern: '**/genai_config.json' };
export const planSelector: vscode.DocumentSelector = { pattern: `**/*${planFileSuffix}` };

export function isConfigFile(uri: vscode.Uri): boolean {
  return uri.path.endsWith('/config.json');
}

export function isGenaiConfig(uri: vscode.Uri): boolean {
  return uri.path.endsWith('/genai_config.json');
}

export function isPlanFile(uri: vscode.Uri): boolean {
  return uri.path.endsWith(planFileSuffix);
}

/** The folder of a file as the engine names it, or undefined where the engine cannot read it. */
export function folderOf(file: vscode.Uri): string | undefined {
  return file.scheme === 'file' ? vscode.Uri.joinPath(file, '..').fsPath : undefined;
}

export function rangeOf(document: vscode.TextDocument, { offset, length }: TextSpan): vscode.Range {
  return new vscode.Range(document.positionAt(offset), document.positionAt(offset + length));
}
