import {
  findNodeAtLocation,
  getNodeValue,
  parseTree,
  printParseErrorCode,
  type Node,
  type ParseError,
} from 'jsonc-parser';
import type { PlanDocument } from '../../engine/protocol/planEditor';
import { planSchema, type Plan } from '../../engine/protocol/plan';
import { localize } from '../common/localize';

/** A plan text as the visual editor reads it: a plan, or the first problem and the line it is on. */
export type PlanReading =
  | { readonly plan: Plan; readonly problem?: undefined }
  | { readonly plan?: undefined; readonly problem: NonNullable<PlanDocument['problem']> };

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

/** The node a path leads to, or the nearest one above it. */
function nearest(root: Node, path: readonly PropertyKey[]): Node {
  const places = path.filter((segment) => typeof segment !== 'symbol');
  for (let length = places.length; length > 0; length -= 1) {
    const node = findNodeAtLocation(root, places.slice(0, length));
    if (node !== undefined) {
      return node;
    }
  }
  return root;
}

/** Reads a plan as the engine does: comments and trailing commas are allowed. */
export function readPlanDocument(text: string): PlanReading {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true });
  const [error] = errors;
  if (root === undefined || error !== undefined) {
    const what = error === undefined ? '' : printParseErrorCode(error.error);
    const message =
      text.trim() === '' ? localize('The file is empty.') : localize('This is no JSON: {what}.', { what });
    return { problem: { message, line: lineAt(text, error?.offset ?? 0) } };
  }
  const parsed = planSchema.safeParse(getNodeValue(root));
  if (parsed.success) {
    return { plan: parsed.data };
  }
  const [issue] = parsed.error.issues;
  const place = issue?.path.join('.') ?? '';
  const message = place === '' ? (issue?.message ?? '') : `${place}: ${issue?.message ?? ''}`;
  return { problem: { message, line: lineAt(text, nearest(root, issue?.path ?? []).offset) } };
}
