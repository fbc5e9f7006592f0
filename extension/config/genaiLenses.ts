import type { CheckpointSummary } from '../../engine/protocol/checkpointSummary';
import type { TunerError } from '../../engine/protocol/errors';
import type { CommandId } from '../common/commandIds';
import { formatBytes } from '../common/format';
import { localize } from '../common/localize';
import { findConfigEntry, type ConfigEntry } from './configFacts';
import type { LensSituation } from './configLenses';

/** What the engine said of the ONNX model that a `genai_config.json` belongs to. */
export type OnnxModelState =
  | { readonly kind: 'reading' }
  | { readonly kind: 'ready'; readonly summary: CheckpointSummary }
  | { readonly kind: 'failed'; readonly error: TunerError };

/** One lens above a line of `genai_config.json`. */
export interface GenaiLens {
  readonly anchor: ConfigEntry;
  readonly title: string;
  readonly command?: CommandId | 'workbench.trust.manage';
}

/** Places where the lenses stand, the best first. */
const anchors = ['model.decoder', 'model.type', 'model'] as const;

/** Numbers of all operators in few words: "4" where they are equal, else the range and its average. */
export function activeSummary(numbers: readonly number[]): string {
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  const average = numbers.reduce((sum, k) => sum + k, 0) / numbers.length;
  return least === most
    ? String(least)
    : localize('{least} to {most} ({average} on average)', { least, most, average: average.toFixed(2) });
}

/** The lenses of one `genai_config.json`; none where the model has no MoE operator. Asks nobody, so it is instant. */
export function genaiLenses(
  text: string,
  state: OnnxModelState | undefined,
  { trusted, onDisk }: LensSituation,
): GenaiLens[] {
  const anchor = anchors.map((path) => findConfigEntry(text, path)).find((entry) => entry !== undefined);
  if (anchor === undefined || !onDisk) {
    return [];
  }
  if (!trusted) {
    const title = localize('Trust this folder to read its model');
    return [{ anchor, title, command: 'workbench.trust.manage' }];
  }
  if (state === undefined || state.kind === 'reading') {
    return [];
  }
  if (state.kind === 'failed') {
    // A model without experts is no failure: there is nothing to say.
    return state.error.code === 'notMixtureOfExperts'
      ? []
      : [{ anchor, title: `$(warning) ${state.error.message}`, command: 'moeTuner.showLog' }];
  }
  const { summary } = state;
  const operators = summary.layers.filter(({ moe }) => moe);
  const title = localize('{count} MoE operators · {active} of {experts} experts active', {
    count: operators.length,
    active: activeSummary(operators.map(({ active }) => active)),
    experts: summary.experts,
  });
  const size = localize('{all} stored, {experts} of it experts ({dtype})', {
    all: formatBytes(summary.bytes),
    experts: formatBytes(summary.expertBytes),
    dtype: summary.dtype,
  });
  return [
    { anchor, title },
    { anchor, title: localize('Set active experts…'), command: 'moeTuner.setActiveExperts' },
    { anchor, title: size },
  ];
}

/** Numbers that a person typed: one for all operators, or one for each. Undefined where they do not fit, see {@link numbersProblem}. */
export function typedNumbers(text: string, { layers }: Pick<CheckpointSummary, 'layers'>): number[] | undefined {
  const operators = layers.filter(({ moe }) => moe);
  const numbers = text
    .split(/[\s,;]+/)
    .filter((part) => part !== '')
    .map(Number);
  const [first] = numbers;
  const all = numbers.length === 1 && first !== undefined ? operators.map(() => first) : numbers;
  const fits = all.every((k, at) => Number.isInteger(k) && k >= 1 && k <= (operators[at]?.experts ?? 0));
  return fits && all.length === operators.length ? all : undefined;
}

/** What is wrong with typed numbers, as a sentence; undefined where they are right. */
export function numbersProblem(
  text: string,
  summary: Pick<CheckpointSummary, 'layers' | 'experts'>,
): string | undefined {
  return typedNumbers(text, summary) === undefined
    ? localize('Give one number from 1 to {experts}, or {count} of them separated by commas.', {
        experts: summary.experts,
        count: summary.layers.filter(({ moe }) => moe).length,
      })
    : undefined;
}
