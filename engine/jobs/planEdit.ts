import { applyEdits, findNodeAtLocation, getNodeValue, modify, parseTree, type Edit, type Node } from 'jsonc-parser';
import { isDeepStrictEqual } from 'node:util';

/** A value of a plan: data that JSON can hold. Keys whose value is undefined are absent. */
export type PlanValue =
  string | number | boolean | null | readonly PlanValue[] | { readonly [key: string]: PlanValue | undefined };

/**
 * Sets or deletes top-level keys of an object in JSON text with as few changes as possible: comments, formatting and the order of
 * keys stay, values that are equal already stay as they are written, objects are edited key by key, arrays of numbers are written on
 * one line, new keys go to the end of the object.
 *
 * @param text parseable text whose root is an object, without duplicate keys
 * @param changes new value by key; undefined deletes the key
 */
export function editJsonObject(text: string, changes: { readonly [key: string]: PlanValue | undefined }): string {
  return Object.entries(changes).reduce((edited, [key, value]) => setAt(edited, [key], value), text);
}

/** An object as formatted JSON text: two spaces, arrays of plain values on one line. */
export function printJson(value: PlanValue, indent = '', newline = '\n'): string {
  if (Array.isArray(value)) {
    const isPlain = value.every((item: PlanValue) => typeof item !== 'object' || item === null);
    const items = value.map((item: PlanValue) => printJson(item, `${indent}  `, newline));
    return isPlain ? `[${items.join(', ')}]` : wrap('[', items, ']', indent, newline);
  }
  if (typeof value === 'object' && value !== null) {
    const items = Object.entries(value).flatMap(([key, item]) =>
      item === undefined ? [] : [`${JSON.stringify(key)}: ${printJson(item, `${indent}  `, newline)}`],
    );
    return wrap('{', items, '}', indent, newline);
  }
  return JSON.stringify(value);
}

function wrap(open: string, items: readonly string[], close: string, indent: string, newline: string): string {
  if (items.length === 0) {
    return open + close;
  }
  const inner = items.map((item) => `${newline}${indent}  ${item}`).join(',');
  return `${open}${inner}${newline}${indent}${close}`;
}

type Path = readonly (string | number)[];

function setAt(text: string, path: Path, value: PlanValue | undefined): string {
  const root = parseTree(text, [], { allowTrailingComma: true });
  const node = root === undefined ? undefined : findNodeAtLocation(root, [...path]);
  if (value === undefined) {
    return node === undefined ? text : applyEdits(text, modify(text, [...path], undefined, {}));
  }
  if (node === undefined) {
    const parent = findNodeAtLocation(root as Node, path.slice(0, -1)) as Node;
    return applyEdits(text, insertions(text, parent, String(path[path.length - 1]), value));
  }
  const present: unknown = getNodeValue(node);
  if (isDeepStrictEqual(present, withoutUndefined(value))) {
    return text;
  }
  const keys = innerKeys(node, value, text);
  if (keys !== undefined) {
    return keys.reduce((edited, [key, inner]) => setAt(edited, [...path, key], inner), text);
  }
  const content = printJson(value, indentAt(text, node.offset), newlineOf(text));
  return applyEdits(text, [{ offset: node.offset, length: node.length, content }]);
}

/**
 * The entries to edit one by one inside a value that stays: every key of an object, and the items of a commented array of
 * unchanged length. Undefined when the whole value is better replaced.
 */
function innerKeys(node: Node, value: PlanValue, text: string): [string | number, PlanValue | undefined][] | undefined {
  if (node.type === 'object' && typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const wanted = value as { readonly [key: string]: PlanValue | undefined };
    const stale = (node.children ?? []).map((property) => String(property.children?.[0]?.value));
    const deletions = stale.filter((key) => wanted[key] === undefined);
    return [...deletions.map((key): [string, undefined] => [key, undefined]), ...Object.entries(wanted)];
  }
  if (node.type === 'array' && Array.isArray(value) && value.length === (node.children ?? []).length) {
    const hasComments = /\/[/*]/.test(text.slice(node.offset, node.offset + node.length));
    return hasComments ? [...(value as readonly PlanValue[]).entries()] : undefined;
  }
  return undefined;
}

/** Edits that append `"key": value` to an object, after its last key and the comments that follow it. */
function insertions(text: string, parent: Node, key: string, value: PlanValue): Edit[] {
  const newline = newlineOf(text);
  const closing = parent.offset + parent.length - 1;
  const properties = parent.children ?? [];
  const last = properties[properties.length - 1];
  const isMultiline = last === undefined || text.slice(parent.offset, closing).includes('\n');
  const outer = indentAt(text, parent.offset);
  const indent = last === undefined ? `${outer}  ` : indentAt(text, last.offset);
  const entry = `${JSON.stringify(key)}: ${printJson(value, isMultiline ? indent : outer, newline)}`;
  const contentEnd = parent.offset + text.slice(parent.offset, closing).trimEnd().length;
  const before: Edit[] = [];
  if (last !== undefined && !hasTrailingComma(text, last.offset + last.length, closing)) {
    before.push({ offset: last.offset + last.length, length: 0, content: ',' });
  }
  if (!isMultiline) {
    return [...before, { offset: contentEnd, length: 0, content: ` ${entry}` }];
  }
  const closesOnOwnLine = text.slice(contentEnd, closing).includes('\n');
  const content = `${newline}${indent}${entry}`;
  return closesOnOwnLine
    ? [...before, { offset: contentEnd, length: 0, content }]
    : [...before, { offset: contentEnd, length: closing - contentEnd, content: `${content}${newline}${outer}` }];
}

/** Whether a comma stands between the last value of an object and its closing brace, comments aside. */
function hasTrailingComma(text: string, from: number, closing: number): boolean {
  const between = text.slice(from, closing).replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '');
  return between.includes(',');
}

/** The white space that the line of an offset begins with. */
function indentAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start, offset))?.[0] ?? '';
}

function newlineOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

/** The value as JSON would read it back: absent keys are absent, not undefined. */
function withoutUndefined(value: PlanValue): unknown {
  return JSON.parse(JSON.stringify(value));
}
