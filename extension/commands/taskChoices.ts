import { open } from 'node:fs/promises';
import * as vscode from 'vscode';
import * as z from 'zod';
import { localize } from '../common/localize';

const tagName = z.string().min(1).optional().catch(undefined);
const taggedLineSchema = z.object({ task: tagName, domain: tagName });

/** Bytes of one file in which tags are looked for. */
const readBytes = 2 ** 26;

/** Tasks or domains that the lines of calibration texts are tagged with, and how many texts each has, in their order. */
export async function tagsOf(files: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const tags = new Map<string, number>();
  for (const file of files.filter((name) => name.endsWith('.jsonl'))) {
    // A file that cannot be read has no tags: the engine says what is wrong with it.
    const handle = await open(file).catch(() => undefined);
    if (handle === undefined) {
      continue;
    }
    try {
      for await (const line of handle.readLines({ end: readBytes, autoClose: false })) {
        const tag = tagOf(line);
        if (tag !== undefined) {
          tags.set(tag, (tags.get(tag) ?? 0) + 1);
        }
      }
    } finally {
      await handle.close();
    }
  }
  return tags;
}

/** Lines that are no JSON have no tag: the engine says what is wrong with them. */
function tagOf(line: string): string | undefined {
  try {
    const parsed = taggedLineSchema.safeParse(JSON.parse(line));
    return parsed.success ? (parsed.data.task ?? parsed.data.domain) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Asks which tasks or domains of the text matter.
 * @returns their names, none of them where all do or the text is not tagged; undefined where the person gave up
 */
export async function pickTasks(files: readonly string[]): Promise<string[] | undefined> {
  const tags = await tagsOf(files);
  if (tags.size < 2) {
    return [];
  }
  const items = [...tags].map(([label, count]) => ({
    label,
    description: count === 1 ? localize('1 text') : localize('{count} texts', { count }),
    picked: true,
  }));
  const picked = await vscode.window.showQuickPick(items, {
    title: localize('Experts that only the other tasks need go first'),
    placeHolder: localize('Which tasks must the model keep?'),
    canPickMany: true,
  });
  const names = picked?.map(({ label }) => label);
  return names === undefined || names.length < tags.size ? names : [];
}
