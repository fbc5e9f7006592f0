import { applyEdits, findNodeAtLocation, getNodeValue, modify, parseTree, type Node } from 'jsonc-parser';

/** A value of a plan file. Keys whose value is undefined are deleted. */
export type PlanValue =
  string | number | boolean | null | readonly PlanValue[] | { readonly [key: string]: PlanValue | undefined };

/** One replacement that turns a text into another. */
export interface Replacement {
  readonly offset: number;
  readonly length: number;
  readonly text: string;
}

type Path = readonly (string | number)[];

const parseOptions = { allowTrailingComma: true };
/** Stands for the new value while jsonc-parser finds the place for a new key; no plan contains it. */
const placeholder = '\u0001';

function indentAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start, offset))?.[0] ?? '';
}

function newlineOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

/** One step of indentation, as the document has it. */
function indentUnit(text: string): string {
  return /\n([ \t]+)\S/.exec(text)?.[1] ?? '  ';
}

interface Layout {
  readonly unit: string;
  readonly newline: string;
}

/** A value as JSON text: objects and lists of lists on lines of their own, lists of plain values on one line. */
function print(value: PlanValue, indent: string, layout: Layout): string {
  const inner = `${indent}${layout.unit}`;
  const wrap = (open: string, items: readonly string[], close: string): string =>
    items.length === 0
      ? `${open}${close}`
      : `${open}${items.map((item) => `${layout.newline}${inner}${item}`).join(',')}${layout.newline}${indent}${close}`;
  if (Array.isArray(value)) {
    const items = value.map((item: PlanValue) => print(item, inner, layout));
    const plain = value.every((item: PlanValue) => typeof item !== 'object' || item === null);
    return plain ? `[${items.join(', ')}]` : wrap('[', items, ']');
  }
  if (typeof value === 'object' && value !== null) {
    const items = Object.entries(value).flatMap(([key, item]) =>
      item === undefined ? [] : [`${JSON.stringify(key)}: ${print(item, inner, layout)}`],
    );
    return wrap('{', items, '}');
  }
  return JSON.stringify(value);
}

function isEqual(node: Node, value: PlanValue): boolean {
  return JSON.stringify(getNodeValue(node)) === JSON.stringify(value);
}

/** Sets the items of a list that differ, from the last to the first so that the places of the others stay right. */
function setItems(text: string, path: Path, nodes: readonly Node[], items: readonly PlanValue[]): string {
  return nodes.reduceRight((edited, node, at) => {
    const item = items[at] ?? null;
    if (isEqual(node, item)) {
      return edited;
    }
    return typeof item === 'object' && item !== null
      ? setValue(edited, [...path, at], item)
      : edited.slice(0, node.offset) + JSON.stringify(item) + edited.slice(node.offset + node.length);
  }, text);
}

/** Sets one value where it differs. Lists of the same length and objects are edited item by item, so that comments in them stay. */
function setValue(text: string, path: Path, value: PlanValue | undefined): string {
  const root = parseTree(text, [], parseOptions);
  const node = root && findNodeAtLocation(root, [...path]);
  const layout = { unit: indentUnit(text), newline: newlineOf(text) };
  if (value === undefined) {
    return node === undefined ? text : applyEdits(text, modify(text, [...path], undefined, {}));
  }
  if (node === undefined) {
    const tabs = layout.unit.startsWith('\t');
    const formattingOptions = { insertSpaces: !tabs, tabSize: layout.unit.length, eol: layout.newline };
    const edited = applyEdits(text, modify(text, [...path], placeholder, { formattingOptions }));
    const at = edited.indexOf(JSON.stringify(placeholder));
    return edited.replace(JSON.stringify(placeholder), () => print(value, indentAt(edited, at), layout));
  }
  if (isEqual(node, value)) {
    return text;
  }
  if (node.type === 'array' && Array.isArray(value) && node.children?.length === value.length) {
    return setItems(text, path, node.children, value as readonly PlanValue[]);
  }
  if (node.type === 'object' && typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).reduce((edited, [key, item]) => setValue(edited, [...path, key], item), text);
  }
  const printed = print(value, indentAt(text, node.offset), layout);
  return text.slice(0, node.offset) + printed + text.slice(node.offset + node.length);
}

/**
 * Sets, or with undefined deletes, values of a plan text by their paths. Everything else stays as it is written: comments, order of
 * keys, indentation, line ends.
 *
 * @param text parseable JSON, comments allowed, whose root is an object
 */
export function editPlanText(text: string, changes: readonly (readonly [Path, PlanValue | undefined])[]): string {
  return changes.reduce((edited, [path, value]) => setValue(edited, path, value), text);
}

/** The smallest single replacement that turns one text into another; undefined where they are equal. */
export function smallestReplacement(before: string, after: string): Replacement | undefined {
  if (before === after) {
    return undefined;
  }
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) {
    start += 1;
  }
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) {
    end += 1;
  }
  return { offset: start, length: before.length - end - start, text: after.slice(start, after.length - end) };
}
