import * as vscode from 'vscode';
import { localize } from '../common/localize';
import type { EngineParams, EngineResult } from '../engine/supervisor';
import { pickBits, pickRatio } from './amountChoices';
import { askForText, canMeasureModel } from './calibrationText';
import type { JobControl } from './jobRunner';
import { mergeMethodTexts, pruneMethodTexts, quantizerTexts, type MethodText } from './methodTexts';
import { pickCheckpoint, type ReadyCheckpoint } from './pickCheckpoint';
import { choosePlanFile, saveOpenDocument } from './planLocation';
import { pickReplacement } from './replacementChoices';
import type { Services } from './services';
import { pickTasks } from './taskChoices';

/** Requests that decide one section of a plan. */
type SectionRequest = 'prune' | 'merge' | 'quantize';

/** Answers that a keybinding, the plan editor or a test may give instead of a person. */
export type SectionOptions<Name extends SectionRequest> = Partial<Omit<EngineParams<Name>, 'checkpoint'>>;

/** What differs between the commands that decide a section. */
interface SectionCommand<Name extends SectionRequest> {
  readonly request: Name;
  readonly title: (label: string) => string;
  readonly placeHolder: () => string;
  readonly methods: () => Readonly<Partial<Record<string, MethodText>>>;
  /** Whether the options already say how much. */
  readonly hasAmount: (options: SectionOptions<Name>) => boolean;
  readonly pickAmount: (checkpoint: ReadyCheckpoint) => Promise<SectionOptions<Name> | undefined>;
  /** What else the section asks, where the options do not say it. */
  readonly pickMore?: (
    options: SectionOptions<Name>,
    method: string,
    text: readonly string[],
  ) => Promise<SectionOptions<Name> | undefined>;
}

const amountOfExperts = async (checkpoint: ReadyCheckpoint): Promise<{ ratio: number } | undefined> => {
  const ratio = await pickRatio(checkpoint);
  return ratio === undefined ? undefined : { ratio };
};

/** Mean outputs are not kept task by task, so what needs them is not asked together with tasks; text to find a task by names one. */
const pickTasksAndReplacement = async (
  options: SectionOptions<'prune'>,
  method: string,
  text: readonly string[],
): Promise<SectionOptions<'prune'> | undefined> => {
  const isTaskless = method === 'mone' || options.retrieve !== undefined;
  const task = options.task ?? (isTaskless ? [] : await pickTasks(text));
  if (task === undefined) {
    return undefined;
  }
  const replacement = options.replacement ?? (await pickReplacement(text.length > 0 && task.length === 0));
  return replacement === undefined ? undefined : { task, replacement };
};

/** The commands, one entry each. */
const sectionCommands: { readonly [Name in SectionRequest]: SectionCommand<Name> } = {
  prune: {
    request: 'prune',
    title: (label) => localize('Pruning experts of {label}', { label }),
    placeHolder: () => localize('Which experts are needed least? Choose how to rank them'),
    methods: pruneMethodTexts,
    hasAmount: ({ ratio }) => ratio !== undefined,
    pickAmount: amountOfExperts,
    pickMore: pickTasksAndReplacement,
  },
  merge: {
    request: 'merge',
    title: (label) => localize('Merging experts of {label}', { label }),
    placeHolder: () => localize('Which experts become one? Choose how to group them'),
    methods: mergeMethodTexts,
    hasAmount: ({ ratio }) => ratio !== undefined,
    pickAmount: amountOfExperts,
  },
  quantize: {
    request: 'quantize',
    title: (label) => localize('Quantizing {label}', { label }),
    placeHolder: () => localize('Choose how the weights are rounded'),
    methods: quantizerTexts,
    hasAmount: ({ bits, averageBits, effectiveBits, maximumBytes }) =>
      [bits, averageBits, effectiveBits, maximumBytes].some((value) => value !== undefined),
    pickAmount: pickBits,
  },
};

async function pickMethod(
  methods: Readonly<Partial<Record<string, MethodText>>>,
  placeHolder: string,
  modelRuns: boolean,
): Promise<string | undefined> {
  const items = Object.entries(methods).flatMap(([label, method]) =>
    method === undefined || (method.text === 'needed' && !modelRuns)
      ? []
      : [{ label, description: method.description }],
  );
  return (await vscode.window.showQuickPick(items, { placeHolder, matchOnDescription: true }))?.label;
}

/** Runs the request, keeps the plan it wrote and shows it. False where there is no result. */
async function decideAndOpen<Name extends SectionRequest>(
  services: Services,
  { folder, label }: ReadyCheckpoint,
  command: SectionCommand<Name>,
  params: EngineParams<Name>,
  out: string,
): Promise<void> {
  const { engine, jobs, store } = services;
  await saveOpenDocument(out);
  const work = (control: JobControl): Promise<EngineResult<Name>> => engine.request(command.request, params, control);
  const result = await jobs.run(command.title(label), work, {
    again: () => decideAndOpen(services, { ...store.get(folder) } as ReadyCheckpoint, command, params, out),
  });
  if (result === undefined) {
    return;
  }
  // A calibration that ran on the way is in the history.
  await store.inspect(folder, true);
  await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(out), { preview: false });
  const { notes } = result;
  if (notes.length > 0) {
    void vscode.window.showInformationMessage(notes.join(' '));
  }
}

/** Asks for method, text, amount and file, decides the section of the plan, and opens the plan. */
export async function decideSection<Name extends SectionRequest>(
  services: Services,
  name: Name,
  argument?: unknown,
  options: SectionOptions<Name> = {},
): Promise<void> {
  const command: SectionCommand<Name> = sectionCommands[name];
  const checkpoint = await pickCheckpoint(services, argument);
  if (checkpoint === undefined) {
    return;
  }
  const methods = command.methods();
  const method =
    options.method ?? (await pickMethod(methods, command.placeHolder(), canMeasureModel(checkpoint.summary)));
  if (method === undefined) {
    return;
  }
  const need = methods[method]?.text ?? 'optional';
  const text =
    options.text ?? (need === 'none' ? [] : await askForText(services, checkpoint, { optional: need === 'optional' }));
  if (text === undefined) {
    return;
  }
  const amount = command.hasAmount(options) ? {} : await command.pickAmount(checkpoint);
  if (amount === undefined) {
    return;
  }
  const more = command.pickMore === undefined ? {} : await command.pickMore(options, method, text);
  if (more === undefined) {
    return;
  }
  const out = options.out ?? (await choosePlanFile(checkpoint.folder));
  if (out !== undefined) {
    const params = {
      ...options,
      ...amount,
      ...more,
      method,
      text,
      out,
      checkpoint: checkpoint.folder,
    } as EngineParams<Name>;
    await decideAndOpen(services, checkpoint, command, params, out);
  }
}
