import type { LinearSpec } from '../families/specification';

/** A linear map before and after a plan. */
export interface ChangedLinear {
  readonly before: LinearSpec;
  readonly after: LinearSpec;
}

/** Linear maps that are not the same object in two specifications of one structure. */
export function changedLinears(before: unknown, after: unknown): ChangedLinear[] {
  if (before === after || !isObject(before) || !isObject(after)) {
    return [];
  }
  if (isLinear(before) && isLinear(after)) {
    return [{ before, after }];
  }
  return Object.entries(before).flatMap(([key, value]) =>
    changedLinears(value, (after as Record<string, unknown>)[key]),
  );
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function isLinear(value: object): value is LinearSpec {
  return 'weight' in value && 'orientation' in value && 'inputSize' in value;
}
