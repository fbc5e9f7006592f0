import { open } from 'node:fs/promises';
import * as vscode from 'vscode';
import { localize } from '../common/localize';
import { fileName } from '../config/resultText';
import { TunerError } from '../../engine/protocol/errors';
import { kindOfEvaluationFile, type EvaluationFileKind } from './evaluationFiles';

const headBytes = 65_536;
const mostFiles = 200;
const filePattern = '**/*.{txt,jsonl}';
const excluded = '**/{node_modules,.git,.venv}/**';

/** A file with texts or tasks, as the picker shows it. */
export interface FileItem extends vscode.QuickPickItem {
  readonly file: string;
  readonly content: EvaluationFileKind;
}

export interface DataFilePicker {
  readonly kinds: readonly EvaluationFileKind[];
  /** Files that are offered first, wherever they lie. */
  readonly known: readonly string[];
  /** Whether a file is ticked when the picker opens. */
  readonly isPicked: (file: string) => boolean;
  readonly title: string;
  readonly placeHolder: string;
  /** A word more about a file, beside its kind. */
  readonly remark?: (file: string) => string | undefined;
}

async function kindOf(file: string): Promise<EvaluationFileKind | undefined> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    return kindOfEvaluationFile(fileName(file), buffer.toString('utf8', 0, bytesRead));
  } finally {
    await handle.close();
  }
}

async function itemOf(file: string, { kinds, isPicked, remark }: DataFilePicker): Promise<FileItem | undefined> {
  const kind = await kindOf(file).catch(() => undefined);
  if (kind === undefined || !kinds.includes(kind)) {
    return undefined;
  }
  const words = [kind === 'tasks' ? localize('tasks') : localize('text'), remark?.(file)];
  const description = words.filter((word) => word !== undefined).join(' · ');
  return { label: fileName(file), description, detail: file, file, content: kind, picked: isPicked(file) };
}

async function nearbyFiles(folder: string): Promise<string[]> {
  const inFolder = await vscode.workspace.findFiles(
    new vscode.RelativePattern(vscode.Uri.file(folder), '*.{txt,jsonl}'),
    undefined,
    mostFiles,
  );
  const inWorkspace = await vscode.workspace.findFiles(filePattern, excluded, mostFiles);
  return [...inFolder, ...inWorkspace].filter(({ scheme }) => scheme === 'file').map(({ fsPath }) => fsPath);
}

async function browse(picker: DataFilePicker): Promise<FileItem[]> {
  const withTasks = picker.kinds.includes('tasks');
  const chosen = await vscode.window.showOpenDialog({
    canSelectMany: true,
    filters: { [withTasks ? localize('Texts and tasks') : localize('Texts')]: ['txt', 'jsonl', 'json'] },
    title: picker.title,
  });
  const items: FileItem[] = [];
  for (const { fsPath } of chosen ?? []) {
    const item = await itemOf(fsPath, picker);
    if (item === undefined) {
      throw withTasks ? notTextOrTasks(fsPath) : notText(fsPath);
    }
    items.push(item);
  }
  return items;
}

function notTextOrTasks(file: string): TunerError {
  return new TunerError('malformedText', localize('This file holds neither texts nor tasks.'), {
    file,
    wayOut: localize('Choose .txt, .jsonl with "text" or with "prompt" and "answer", or .json of texts by dataset.'),
  });
}

function notText(file: string): TunerError {
  return new TunerError('malformedText', localize('This file holds no texts.'), {
    file,
    wayOut: localize('Choose .txt, .jsonl with "text", or .json of texts by dataset.'),
  });
}

/**
 * Lets a person choose files with texts or tasks: those known, those in the folder and the workspace, and any other.
 * Undefined where the person gave up; an empty list where nothing was ticked.
 *
 * @throws TunerError `malformedText` for a file that holds something else
 */
export async function pickDataFiles(folder: string, picker: DataFilePicker): Promise<FileItem[] | undefined> {
  const files = [...new Set([...picker.known, ...(await nearbyFiles(folder))])];
  const items = (await Promise.all(files.map((file) => itemOf(file, picker)))).filter((item) => item !== undefined);
  const browseItem = { label: `$(folder-opened) ${localize('Browse…')}` };
  const chosen = await vscode.window.showQuickPick<vscode.QuickPickItem>([...items, browseItem], {
    canPickMany: true,
    title: picker.title,
    placeHolder: picker.placeHolder,
  });
  if (chosen === undefined) {
    return undefined;
  }
  const fromDialog = chosen.includes(browseItem) ? await browse(picker) : [];
  return [...items.filter((item) => chosen.includes(item)), ...fromDialog];
}
