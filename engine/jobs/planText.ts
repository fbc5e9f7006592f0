import {
  findNodeAtLocation,
  getNodeValue,
  parseTree,
  printParseErrorCode,
  type Node,
  type ParseError,
} from 'jsonc-parser';
import type * as z from 'zod';
import { lineAndColumn } from '../checkpoint/jsonText';
import { TunerError } from '../protocol/errors';
import { planSchema, type Plan } from '../protocol/plan';

/** A plan as text and as data: the tree gives every value its place in the text. */
export interface PlanDocument {
  readonly text: string;
  readonly root: Node;
  readonly plan: Plan;
}

const repair = 'Correct the plan file, or delete it and make a new one.';

/**
 * Parses the text of a plan file. Comments and trailing commas are allowed, duplicate keys are not.
 * @param file named in errors
 * @throws TunerError `malformedPlan` with key path, line and column of the first mistake
 */
export function parsePlan(text: string, file: string): PlanDocument {
  const root = parseTolerant(text, file);
  const duplicate = findDuplicate(root);
  if (duplicate !== undefined) {
    const key = String(duplicate.value);
    throw malformed(text, file, duplicate.offset, key, 'The key occurs twice, so its value is ambiguous.');
  }
  const parsed = planSchema.safeParse(getNodeValue(root));
  if (!parsed.success) {
    const issue = parsed.error.issues[0] as z.core.$ZodIssue;
    const path = issuePath(issue);
    throw malformed(text, file, offsetOf(root, path), printPath(path), sentence(issue));
  }
  return { text, root, plan: parsed.data };
}

/** A key path as people write it: `budget.total`, `activeExperts[3]`. */
export function printPath(path: readonly (string | number)[]): string {
  return path.map((part, depth) => (typeof part === 'number' ? `[${part}]` : depth === 0 ? part : `.${part}`)).join('');
}

function parseTolerant(text: string, file: string): Node {
  const mistakes: ParseError[] = [];
  let root: Node | undefined;
  try {
    root = parseTree(text, mistakes, { allowTrailingComma: true, disallowComments: false });
  } catch (cause) {
    // The parser is recursive: only absurdly deep nesting exhausts its stack.
    throw new TunerError('malformedPlan', 'The JSON is nested too deeply.', { file, wayOut: repair }, { cause });
  }
  const mistake = mistakes[0];
  if (root === undefined || mistake !== undefined) {
    const reason = mistake === undefined ? 'ValueExpected' : printParseErrorCode(mistake.error);
    throw malformed(text, file, mistake?.offset ?? 0, '', `The JSON is malformed here (${splitWords(reason)}).`);
  }
  return root;
}

function malformed(text: string, file: string, offset: number, path: string, message: string): TunerError {
  const { line, column } = lineAndColumn(text, offset);
  const position = `line ${line}, column ${column}`;
  return new TunerError('malformedPlan', message, {
    file,
    place: path === '' ? position : `${path} (${position})`,
    wayOut: repair,
  });
}

/** The key path an issue is about; unknown keys are reported on themselves rather than on the object around them. */
function issuePath(issue: z.core.$ZodIssue): (string | number)[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  const unknownKey = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  return unknownKey === undefined ? path : [...path, unknownKey];
}

function sentence(issue: z.core.$ZodIssue): string {
  return issue.code === 'unrecognized_keys'
    ? 'A plan has no such key.'
    : `The plan does not fit its schema: ${issue.message.replace(/\.$/, '')}.`;
}

/** Offset of the value at a path; of the nearest value around it when the path itself is missing. */
function offsetOf(root: Node, path: readonly (string | number)[]): number {
  for (let length = path.length; length > 0; length--) {
    const node = findNodeAtLocation(root, path.slice(0, length));
    if (node !== undefined) {
      const isKnownProperty = node.parent?.type === 'property';
      return isKnownProperty ? node.parent.offset : node.offset;
    }
  }
  return root.offset;
}

/** The key node of the first key that occurs twice in one object. */
function findDuplicate(root: Node): Node | undefined {
  const open: Node[] = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const seen = new Set<unknown>();
    for (const child of node.children ?? []) {
      const key = child.type === 'property' ? child.children?.[0] : undefined;
      if (key !== undefined && seen.has(key.value)) {
        return key;
      }
      seen.add(key?.value);
      open.push(child.type === 'property' ? (child.children?.[1] ?? child) : child);
    }
    seen.clear();
  }
  return undefined;
}

function splitWords(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
}
