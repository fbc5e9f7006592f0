import * as z from 'zod';
import { localize } from '../common/localize';
import type { ObjectiveName } from '../../engine/protocol/budget';
import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import { TunerError } from '../../engine/protocol/errors';
import { fileName } from '../config/resultText';
import { measuresModel } from './budgetChoices';
import { pickDataFiles } from './dataFilePicker';
import { rememberedInputs } from './evaluationInputs';
import type { ReadyCheckpoint } from './pickCheckpoint';
import type { Services } from './services';

const rememberedSchema = z.array(z.string());

function memoryKey(folder: string): string {
  return `calibrationText:${folder}`;
}

/** The calibration texts chosen for this checkpoint the last time in this workspace; undefined before the first time. */
export function rememberedCalibration({ context }: Services, folder: string): string[] | undefined {
  const parsed = rememberedSchema.safeParse(context.workspaceState.get(memoryKey(folder)));
  return parsed.success ? parsed.data : undefined;
}

async function remember({ context }: Services, folder: string, files: readonly string[]): Promise<void> {
  await context.workspaceState.update(memoryKey(folder), files);
}

/** Whether the engine can run the whole model on text. */
export function canMeasureModel({ forward, hasTokenizer }: CheckpointSummary): boolean {
  return forward.supported && hasTokenizer;
}

/** A file that says by its name what it is for, until the person has chosen. */
function isNamedCalibration(file: string): boolean {
  return /calib/i.test(fileName(file));
}

async function pick(
  services: Services,
  { folder }: ReadyCheckpoint,
  placeHolder: string,
): Promise<string[] | undefined> {
  const last = rememberedCalibration(services, folder);
  const evaluated = rememberedInputs(services, folder)?.text ?? [];
  const files = await pickDataFiles(folder, {
    kinds: ['text'],
    known: last ?? [],
    isPicked: (file) => (last === undefined ? isNamedCalibration(file) : last.includes(file)),
    title: localize('Calibration text to measure on'),
    placeHolder,
    // Budgets that were chosen on a text look better on that text than they are.
    remark: (file) => (evaluated.includes(file) ? localize('last evaluation used it') : undefined),
  });
  return files?.map(({ file }) => file);
}

/**
 * The text that an objective measures on: none where it measures nothing, else what the person chooses. With `auto` the person
 * may choose none. Undefined where the person gave up.
 *
 * @throws TunerError `usage` when the objective needs text and none was chosen, or the model cannot be run
 */
export async function askForCalibration(
  services: Services,
  checkpoint: ReadyCheckpoint,
  objective: ObjectiveName,
): Promise<string[] | undefined> {
  if (!measuresModel(objective)) {
    return [];
  }
  const optional = objective === 'auto';
  if (optional && !canMeasureModel(checkpoint.summary)) {
    return [];
  }
  const text = await pick(
    services,
    checkpoint,
    optional
      ? localize('.txt and .jsonl files. Choose none to go on without text: then nothing is measured')
      : localize('.txt and .jsonl files; this objective runs the whole model on them'),
  );
  if (text === undefined) {
    return undefined;
  }
  if (text.length === 0 && !optional) {
    throw new TunerError('usage', localize('"{objective}" measures the whole model and needs text.', { objective }), {
      wayOut: localize('Choose at least one text, or an objective that needs none, such as "relative-squared".'),
    });
  }
  await remember(services, checkpoint.folder, text);
  return text;
}

/**
 * The text that a method reads: undefined where the person gave up, none where the person chose none and may.
 *
 * @throws TunerError `usage` when the method needs text and none was chosen
 */
export async function askForText(
  services: Services,
  checkpoint: ReadyCheckpoint,
  { optional }: { readonly optional: boolean },
): Promise<string[] | undefined> {
  const placeHolder = optional
    ? localize('.txt and .jsonl files. Choose none to go on without text')
    : localize('.txt and .jsonl files; the model reads them as it is used');
  const text = await pick(services, checkpoint, placeHolder);
  if (text === undefined) {
    return undefined;
  }
  if (text.length === 0 && !optional) {
    throw new TunerError('usage', localize('This measures the model on text and needs some.'), {
      wayOut: localize('Choose at least one text, or a method that needs none.'),
    });
  }
  await remember(services, checkpoint.folder, text);
  return text;
}
