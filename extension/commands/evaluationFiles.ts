/** What a file can be used for in an evaluation. */
export type EvaluationFileKind = 'tasks' | 'text';

/** Text files that belong to a model or a project, not to an evaluation. */
const namesOfOtherFiles = /^(merges|vocab|requirements.*|licen[sc]e.*|readme.*|notice.*)\.txt$/i;

function kindOfLine(line: string): EvaluationFileKind | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null) {
      return undefined;
    }
    if ('prompt' in value && 'answer' in value) {
      return 'tasks';
    }
    return 'text' in value ? 'text' : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Tells task files from text files: `.txt` is text, `.jsonl` what the fields of its first line say, `.json` text by
 * dataset. Undefined for a file that is neither.
 *
 * @param head the first characters of the file, at least its first line
 */
export function kindOfEvaluationFile(name: string, head: string): EvaluationFileKind | undefined {
  if (name.endsWith('.txt')) {
    return namesOfOtherFiles.test(name) ? undefined : 'text';
  }
  if (name.endsWith('.jsonl')) {
    return kindOfLine(head.split('\n', 1)[0] ?? '');
  }
  return name.endsWith('.json') && /^\s*\{\s*"[^"]*"\s*:\s*\[\s*"/.test(head) ? 'text' : undefined;
}
