import { open } from 'node:fs/promises';
import * as vscode from 'vscode';
import * as z from 'zod';
import { localize } from '../common/localize';
import { fileName } from '../config/resultText';
import { defaultWindowLength } from '../../engine/protocol/evaluation';
import { TunerError } from '../../engine/protocol/errors';
import { kindOfEvaluationFile, type EvaluationFileKind } from './evaluationFiles';
import type { Services } from './services';

/** What an evaluation reads, and how texts are cut. */
const evaluationInputsSchema = z.object({
  text: z.array(z.string()),
  tasks: z.array(z.string()),
  length: z.number().int().min(2),
  perDocument: z.boolean(),
});

export type EvaluationInputs = z.infer<typeof evaluationInputsSchema>;

const headBytes = 65_536;
const mostFiles = 200;
const filePattern = '**/*.{txt,jsonl}';
const excluded = '**/{node_modules,.git,.venv}/**';

interface FileItem extends vscode.QuickPickItem {
  readonly file: string;
  readonly content: EvaluationFileKind;
}

function memoryKey(folder: string): string {
  return `evaluationInputs:${folder}`;
}

/** What was chosen for this checkpoint the last time, if it is still readable. */
function remembered({ context }: Services, folder: string): EvaluationInputs | undefined {
  const parsed = evaluationInputsSchema.safeParse(context.globalState.get(memoryKey(folder)));
  return parsed.success ? parsed.data : undefined;
}

/** Proposes these inputs the next time this checkpoint is evaluated. */
export async function rememberInputs({ context }: Services, folder: string, inputs: EvaluationInputs): Promise<void> {
  await context.globalState.update(memoryKey(folder), inputs);
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

async function itemOf(file: string, picked: boolean): Promise<FileItem | undefined> {
  const kind = await kindOf(file).catch(() => undefined);
  if (kind === undefined) {
    return undefined;
  }
  const description = kind === 'tasks' ? localize('tasks') : localize('text');
  return { label: fileName(file), description, detail: file, file, content: kind, picked };
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

async function browse(): Promise<FileItem[]> {
  const chosen = await vscode.window.showOpenDialog({
    canSelectMany: true,
    filters: { [localize('Texts and tasks')]: ['txt', 'jsonl', 'json'] },
    title: localize('Texts and task files to evaluate'),
  });
  const items: FileItem[] = [];
  for (const { fsPath } of chosen ?? []) {
    const item = await itemOf(fsPath, true);
    if (item === undefined) {
      throw new TunerError('malformedText', localize('This file holds neither texts nor tasks.'), {
        file: fsPath,
        wayOut: localize(
          'Choose .txt, .jsonl with "text" or with "prompt" and "answer", or .json of texts by dataset.',
        ),
      });
    }
    items.push(item);
  }
  return items;
}

async function pickFiles(folder: string, last: EvaluationInputs | undefined): Promise<FileItem[] | undefined> {
  const lastFiles = [...(last?.tasks ?? []), ...(last?.text ?? [])];
  const files = [...new Set([...lastFiles, ...(await nearbyFiles(folder))])];
  const found = await Promise.all(files.map((file) => itemOf(file, lastFiles.includes(file))));
  const items = found.filter((item) => item !== undefined);
  const browseItem = { label: `$(folder-opened) ${localize('Browse…')}` };
  const chosen = await vscode.window.showQuickPick<vscode.QuickPickItem>([...items, browseItem], {
    canPickMany: true,
    title: localize('Texts and task files to evaluate'),
    placeHolder: localize('.txt and .jsonl files; texts give perplexity, tasks give accuracy'),
  });
  if (chosen === undefined) {
    return undefined;
  }
  const fromDialog = chosen.includes(browseItem) ? await browse() : [];
  return [...items.filter((item) => chosen.includes(item)), ...fromDialog];
}

async function pickCut(
  last: EvaluationInputs | undefined,
): Promise<Pick<EvaluationInputs, 'length' | 'perDocument'> | undefined> {
  const windows = { label: localize('Join the texts and cut them into windows'), perDocument: false };
  const documents = { label: localize('One window per text'), perDocument: true };
  const items = last?.perDocument === true ? [documents, windows] : [windows, documents];
  const choice = await vscode.window.showQuickPick(items, { placeHolder: localize('How are the texts read?') });
  if (choice === undefined) {
    return undefined;
  }
  const typed = await vscode.window.showInputBox({
    prompt: localize('Longest window, in tokens'),
    value: String(last?.length ?? defaultWindowLength),
    validateInput: (text) =>
      Number.isInteger(Number(text)) && Number(text) >= 2 ? undefined : localize('Give a whole number of at least 2.'),
  });
  return typed === undefined ? undefined : { length: Number(typed), perDocument: choice.perDocument };
}

/** Asks what to evaluate a checkpoint on; undefined where the person gave up. Remembers the answer. */
export async function askForInputs(services: Services, folder: string): Promise<EvaluationInputs | undefined> {
  const last = remembered(services, folder);
  const files = await pickFiles(folder, last);
  if (files === undefined || files.length === 0) {
    return undefined;
  }
  const filesOf = (kind: EvaluationFileKind): string[] =>
    files.filter((item) => item.content === kind).map(({ file }) => file);
  const text = filesOf('text');
  const unused = { length: last?.length ?? defaultWindowLength, perDocument: last?.perDocument ?? false };
  const cut = text.length === 0 ? unused : await pickCut(last);
  if (cut === undefined) {
    return undefined;
  }
  const inputs = { text, tasks: filesOf('tasks'), ...cut };
  await rememberInputs(services, folder, inputs);
  return inputs;
}
