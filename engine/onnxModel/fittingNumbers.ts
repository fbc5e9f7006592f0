import { TunerError, type ErrorCode } from '../protocol/errors';
import type { OnnxModel } from './openOnnxModel';

/** Where numbers of active experts were read. */
export interface NumbersPlace {
  readonly code: Extract<ErrorCode, 'usage' | 'malformedPlan'>;
  readonly file?: string | undefined;
}

/** @throws TunerError with the code of the place where a model does not have so many operators, or an operator so many experts */
export function assertFittingNumbers(
  activeExperts: readonly number[] | undefined,
  { operators }: Pick<OnnxModel, 'operators'>,
  { code, file }: NumbersPlace,
): asserts activeExperts is readonly number[] {
  if (activeExperts?.length !== operators.length) {
    throw new TunerError(code, `The model has ${operators.length} MoE operators.`, {
      file,
      place: 'activeExperts',
      wayOut: `List ${operators.length} numbers, one per operator in order.`,
    });
  }
  activeExperts.forEach((k, at) => {
    const { experts, layer } = operators[at]!;
    if (k > experts) {
      throw new TunerError(code, `Layer ${layer} cannot have ${k} active experts.`, {
        file,
        place: `activeExperts[${at}]`,
        wayOut: `Give a number from 1 to ${experts}.`,
      });
    }
  });
}
