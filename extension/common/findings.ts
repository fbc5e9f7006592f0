/** A range of characters in a document. */
export interface TextSpan {
  readonly offset: number;
  readonly length: number;
}

/** Stable codes of the problems this extension reports; documents and settings may refer to them. */
export const findingCodes = {
  activeAboveExperts: 'active-experts-above-experts',
  activeNotPositive: 'active-experts-not-positive',
  contradictsTensors: 'config-contradicts-tensors',
  checkpointProblem: 'checkpoint-problem',
  checkpointWarning: 'checkpoint-warning',
  malformedPlan: 'malformed-plan',
  otherCheckpoint: 'plan-for-another-checkpoint',
  layerCount: 'plan-layer-count',
  budgetAboveActive: 'plan-budget-above-active',
  budgetAboveExperts: 'plan-budget-above-experts',
} as const;

export type FindingCode = (typeof findingCodes)[keyof typeof findingCodes];
export type FindingSeverity = 'error' | 'warning' | 'information';

/** A replacement of a span of text that repairs a finding. */
export interface FindingFix {
  readonly title: string;
  readonly span: TextSpan;
  readonly replacement: string;
}

/** A problem in a document with its place and, where it is mechanical, its repair. */
export interface Finding {
  readonly code: FindingCode;
  readonly severity: FindingSeverity;
  readonly message: string;
  readonly span: TextSpan;
  readonly fixes: readonly FindingFix[];
}
