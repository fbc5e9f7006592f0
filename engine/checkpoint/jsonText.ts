import { parse, type ParseError } from 'jsonc-parser';
import { TunerError, type ErrorCode } from '../protocol/errors';

/** Line and column of an offset, both counted from 1. */
export function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  let line = 1;
  for (let at = before.indexOf('\n'); at !== -1; at = before.indexOf('\n', at + 1)) {
    line += 1;
  }
  return { line, column: offset - lineStart + 1 };
}

/**
 * Strict JSON without duplicate keys, which `JSON.parse` would resolve silently to the last one.
 * @param code the error for anything else, with line and column of the first mistake
 */
export function parseJson(text: string, file: string, code: ErrorCode): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const { line, column } = lineAndColumn(text, firstMistake(text));
    const place = `line ${line}, column ${column}`;
    throw new TunerError(code, 'The JSON is malformed here.', { file, place, wayOut: 'Correct the file.' }, { cause });
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) {
    const { line, column } = lineAndColumn(text, duplicate.offset);
    const place = `${duplicate.key} (line ${line}, column ${column})`;
    throw new TunerError(code, 'The key occurs twice, so its value is ambiguous.', {
      file,
      place,
      wayOut: 'Keep one of the two.',
    });
  }
  return value;
}

/** Whether a parsed value is a JSON object (not null, not an array). */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Offset of the first mistake of a text that `JSON.parse` refused. */
function firstMistake(text: string): number {
  const mistakes: ParseError[] = [];
  try {
    parse(text, mistakes, { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false });
  } catch {
    // The tolerant parser is recursive: nesting deep enough to exhaust the stack is a mistake at the start.
    return 0;
  }
  return mistakes[0]?.offset ?? text.length;
}

/** First key that occurs twice in one object of a text that `JSON.parse` accepted, with its offset. */
export function findDuplicateKey(text: string): { key: string; offset: number } | undefined {
  const scopes: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (character === openBrace) {
      scopes.push(new Set());
    } else if (character === openBracket) {
      scopes.push(undefined);
    } else if (character === closeBrace || character === closeBracket) {
      scopes.pop();
    } else if (character === quote) {
      const end = stringEnd(text, at);
      const scope = scopes.at(-1);
      if (scope !== undefined && text.charCodeAt(skipSpace(text, end + 1)) === colon) {
        const raw = text.slice(at + 1, end);
        const key = raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw;
        if (scope.has(key)) {
          return { key, offset: at };
        }
        scope.add(key);
      }
      at = end;
    }
  }
  return undefined;
}

const quote = 0x22;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** Offset of the quote that closes the string opened at `start`. */
function stringEnd(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(text, end)) {
    end = text.indexOf('"', end + 1);
  }
  return end === -1 ? text.length : end;
}

/** Whether an odd number of backslashes stands before the character. */
function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text.charCodeAt(first - 1) === backslash) {
    first -= 1;
  }
  return (at - first) % 2 === 1;
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (at < text.length && text.charCodeAt(at) <= 0x20) {
    at += 1;
  }
  return at;
}
