import path from 'node:path';
import * as z from 'zod';
import { TunerError } from '../protocol/errors';
import { parseJson } from './jsonText';
import { readTextFile } from './textFile';

/** Texts under one name; every quality number is reported per dataset. */
export interface Dataset {
  readonly name: string;
  readonly texts: string[];
  /** Task or domain of every text, where the lines of a file say it; undefined for a line that does not. */
  readonly tags?: readonly (string | undefined)[] | undefined;
}

/** A task item: it counts when the model gives every token of the answer the highest probability. */
export interface TaskItem {
  readonly task: string;
  readonly prompt: string;
  readonly answer: string;
}

const textLineSchema = z.object({ text: z.string(), task: z.unknown().optional(), domain: z.unknown().optional() });
const taskLineSchema = z.object({ task: z.string().min(1), prompt: z.string(), answer: z.string().min(1) });
const namedTextsSchema = z.record(z.string().min(1), z.array(z.string()).min(1));

const readers: Readonly<Record<string, (file: string, content: string) => Dataset[]>> = {
  '.txt': (file, content) => [{ name: stem(file), texts: [content] }],
  '.jsonl': (file, content) => {
    const lines = parseLines(file, content, textLineSchema, '{"text": "…"}');
    const tags = lines.map(tagOf);
    const tagged = tags.some((tag) => tag !== undefined);
    return [{ name: stem(file), texts: lines.map(({ text }) => text), ...(tagged ? { tags } : {}) }];
  },
  '.json': (file, content) => {
    const value = parseJson(content, file, 'malformedText');
    const parsed = namedTextsSchema.safeParse(value);
    if (!parsed.success) {
      throw malformed(file, issuePlace(parsed.error), 'The file is not of the form {"dataset name": ["text", …]}.');
    }
    return Object.entries(parsed.data).map(([name, texts]) => ({ name, texts }));
  },
};

/**
 * Reads text files for calibration and evaluation: `.txt` is one text, `.jsonl` has one `{"text": …}` a line (with `task` or
 * `domain` as a tag), both named after the file; `.json` is `{"dataset name": ["text", …]}`.
 * @throws TunerError `fileNotFound`, or `malformedText` naming file and line
 */
export async function loadDatasets(files: readonly string[]): Promise<Dataset[]> {
  const origins = new Map<string, string>();
  const result: Dataset[] = [];
  for (const file of files) {
    const read = readers[path.extname(file).toLowerCase()];
    if (read === undefined) {
      throw malformed(file, undefined, `Text files end in ${Object.keys(readers).join(', ')}.`);
    }
    for (const dataset of read(file, await readTextFile(file, 'malformedText'))) {
      const other = origins.get(dataset.name);
      if (other !== undefined) {
        throw malformed(
          file,
          dataset.name,
          `A dataset of this name comes from ${other} already.`,
          'Rename one of them.',
        );
      }
      if (dataset.texts.every((text) => text === '')) {
        throw malformed(file, dataset.name, 'The dataset holds no text.');
      }
      origins.set(dataset.name, file);
      result.push(dataset);
    }
  }
  return result;
}

/**
 * Reads task items, one `{"task", "prompt", "answer"}` a line.
 * @throws TunerError `fileNotFound`, or `malformedText` naming file and line
 */
export async function loadTasks(files: readonly string[]): Promise<TaskItem[]> {
  const result: TaskItem[] = [];
  for (const file of files) {
    const content = await readTextFile(file, 'malformedText');
    result.push(...parseLines(file, content, taskLineSchema, '{"task": "…", "prompt": "…", "answer": "…"}'));
  }
  return result;
}

/** The task of a line, or else its domain; whatever is no text with content is no tag. */
function tagOf({ task, domain }: z.infer<typeof textLineSchema>): string | undefined {
  return [task, domain].find((value): value is string => typeof value === 'string' && value !== '');
}

/** Every line that is not blank as one JSON object. */
function parseLines<Schema extends z.ZodType>(
  file: string,
  content: string,
  schema: Schema,
  form: string,
): z.infer<Schema>[] {
  const result: z.infer<Schema>[] = [];
  // Only line feeds separate lines: JSON strings may hold the Unicode line separators.
  content.split('\n').forEach((line, position) => {
    if (line.trim() === '') {
      return;
    }
    const place = `line ${position + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw malformed(file, place, 'The line is not valid JSON.', undefined, cause);
    }
    const parsed = schema.safeParse(value);
    if (!parsed.success) {
      throw malformed(file, `${place}, ${issuePlace(parsed.error)}`, `The line is not of the form ${form}.`);
    }
    result.push(parsed.data);
  });
  if (result.length === 0) {
    throw malformed(file, undefined, `The file has no line of the form ${form}.`);
  }
  return result;
}

function issuePlace(error: z.ZodError): string {
  return error.issues[0]?.path.map(String).join('.') || 'top level';
}

function stem(file: string): string {
  return path.basename(file, path.extname(file));
}

function malformed(
  file: string,
  place: string | undefined,
  message: string,
  wayOut?: string,
  cause?: unknown,
): TunerError {
  const details = { file, place, wayOut: wayOut ?? 'Correct the file.' };
  return new TunerError('malformedText', message, details, cause === undefined ? undefined : { cause });
}
