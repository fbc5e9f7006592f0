import { findNodeAtLocation, parseTree, type Node, type ParseError } from 'jsonc-parser';
import { planSchema, type Plan } from '../../engine/protocol/plan';
import type { TextSpan } from '../common/findings';

/** One problem that the plan format itself finds. */
export interface PlanIssue {
  readonly message: string;
  readonly span: TextSpan;
}

/** A plan file as the editor sees it: valid or not, with the places that lenses, hovers and problems refer to. */
export interface PlanText {
  /** The decisions, where the document follows the format. */
  readonly plan: Plan | undefined;
  readonly issues: readonly PlanIssue[];
  /** The `"activeExperts": …` pair. */
  readonly activeExpertsProperty: TextSpan | undefined;
  /** The numbers of `activeExperts`, one span per MoE layer in order. */
  readonly activeExpertsEntries: readonly TextSpan[];
  readonly fingerprintSpan: TextSpan | undefined;
}

const noSpan: TextSpan = { offset: 0, length: 1 };

function spanOf(node: Node | undefined): TextSpan | undefined {
  return node && { offset: node.offset, length: node.length };
}

/** The node that an issue's path points to, or the nearest one above it that exists. */
function nearestSpan(root: Node | undefined, path: readonly (string | number)[]): TextSpan {
  for (let length = path.length; root !== undefined && length > 0; length--) {
    const span = spanOf(findNodeAtLocation(root, path.slice(0, length)));
    if (span !== undefined) {
      return span;
    }
  }
  return noSpan;
}

function jsonValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Reads a plan document. A text that is no JSON has no plan and no issues: the editor's JSON support reports those. */
export function readPlanText(text: string): PlanText {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { disallowComments: true });
  const entries = root && findNodeAtLocation(root, ['activeExperts']);
  const places = {
    activeExpertsProperty: spanOf(entries?.parent),
    activeExpertsEntries: (entries?.children ?? []).map(({ offset, length }) => ({ offset, length })),
    fingerprintSpan: spanOf(root && findNodeAtLocation(root, ['source', 'fingerprint'])),
  };
  const value = jsonValue(text);
  if (value === undefined) {
    return { plan: undefined, issues: [], ...places };
  }
  const parsed = planSchema.safeParse(value);
  if (parsed.success) {
    return { plan: parsed.data, issues: [], ...places };
  }
  const issues = parsed.error.issues.map(({ message, path }) => ({
    message,
    span: nearestSpan(
      root,
      path.filter((segment) => typeof segment !== 'symbol'),
    ),
  }));
  return { plan: undefined, issues, ...places };
}
