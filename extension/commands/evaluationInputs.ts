import * as vscode from 'vscode';
import * as z from 'zod';
import { localize } from '../common/localize';
import { defaultWindowLength } from '../../engine/protocol/evaluation';
import { pickDataFiles, type FileItem } from './dataFilePicker';
import type { EvaluationFileKind } from './evaluationFiles';
import type { Services } from './services';

/** What an evaluation reads, and how texts are cut. */
const evaluationInputsSchema = z.object({
  text: z.array(z.string()),
  tasks: z.array(z.string()),
  length: z.number().int().min(2),
  perDocument: z.boolean(),
});

export type EvaluationInputs = z.infer<typeof evaluationInputsSchema>;

function memoryKey(folder: string): string {
  return `evaluationInputs:${folder}`;
}

/** What was chosen for this checkpoint the last time, if it is still readable. */
export function rememberedInputs({ context }: Services, folder: string): EvaluationInputs | undefined {
  const parsed = evaluationInputsSchema.safeParse(context.globalState.get(memoryKey(folder)));
  return parsed.success ? parsed.data : undefined;
}

/** Proposes these inputs the next time this checkpoint is evaluated. */
export async function rememberInputs({ context }: Services, folder: string, inputs: EvaluationInputs): Promise<void> {
  await context.globalState.update(memoryKey(folder), inputs);
}

async function pickFiles(folder: string, last: EvaluationInputs | undefined): Promise<FileItem[] | undefined> {
  const lastFiles = [...(last?.tasks ?? []), ...(last?.text ?? [])];
  return pickDataFiles(folder, {
    kinds: ['text', 'tasks'],
    known: lastFiles,
    isPicked: (file) => lastFiles.includes(file),
    title: localize('Texts and task files to evaluate'),
    placeHolder: localize('.txt and .jsonl files; texts give perplexity, tasks give accuracy'),
  });
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
  const last = rememberedInputs(services, folder);
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
